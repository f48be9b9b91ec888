from __future__ import annotations

import pytest

from convert.errors import OutOfMemoryError, UnavailableWorkersError
from convert.fleet.ray_errors import LostTaskError, explained, no_workers

ray = pytest.importorskip("ray")


def test_what_a_task_raised_comes_out_as_it_was():
    cause = ValueError("as it was")
    assert explained(ray.exceptions.RayTaskError("f", "traceback", cause)) is cause


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (lambda: ray.exceptions.OutOfMemoryError("too much"), OutOfMemoryError),
        (ray.exceptions.WorkerCrashedError, LostTaskError),
        (lambda: ConnectionError("gone"), LostTaskError),
    ],
)
def test_losses_are_explained(raised, expected):
    error = explained(raised())
    assert type(error) is expected
    assert error.remedy


def test_a_worker_that_lacks_a_package_is_not_asked_for_again():
    message = "RuntimeError: failed to import\n\nModuleNotFoundError: No module named 'convert'"
    error = explained(ray.exceptions.RayActorError(None, message, actor_init_failed=True))
    assert type(error) is UnavailableWorkersError
    assert error.found == "ModuleNotFoundError: No module named 'convert'"
    assert "install" in error.remedy


def test_other_errors_are_left_alone():
    error = KeyError("a")
    assert explained(error) is error


def test_a_cluster_of_nothing_is_an_error():
    assert "60 seconds" in str(no_workers(60))
