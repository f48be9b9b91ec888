"""Against a real cluster of several machines of pretence."""

from __future__ import annotations

import os

import pytest

from convert.errors import NonFiniteWeightError, OutOfMemoryError
from convert.executors import ThreadExecutor
from convert.fleet.address import Address
from convert.fleet.ray_workers import RayWorkers
from convert.progress import Reporter
from tests.convert.fleet.test_ray_executor import Text, write

pytestmark = pytest.mark.slow


class Listening(Reporter):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def squared(number):
    return number * number


def refused(number):
    raise NonFiniteWeightError("a weight", expected="finite", found=str(number))


def killed_once(path):
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), 9)
    return path.name


@pytest.fixture(scope="module")
def workers(ray_cluster):
    with RayWorkers(Address(ray_cluster), 1, Listening()) as found:
        yield found


def test_the_cluster_is_counted(workers):
    assert workers.count == 3
    assert workers.cluster.machines == 3


def test_tasks_give_their_results_in_order(workers):
    assert list(workers.map(squared, range(20))) == [number**2 for number in range(20)]


def test_an_error_comes_out_as_it_was_raised(workers):
    with pytest.raises(NonFiniteWeightError) as caught:
        list(workers.map(refused, [7]))
    assert (caught.value.expected, caught.value.found) == ("finite", "7")


def test_a_task_whose_worker_is_killed_is_done_again(workers, tmp_path):
    assert list(workers.map(killed_once, [tmp_path / "a", tmp_path / "b"])) == ["a", "b"]


def test_a_task_that_fits_nowhere_is_refused(workers):
    with pytest.raises(OutOfMemoryError, match="no machine"):
        list(workers.map(squared, [1], memory=1 << 50))


def test_a_stream_gives_the_same_bytes_with_and_without_a_text(workers, tmp_path):
    assert write(tmp_path / "a", workers.executing) == write(tmp_path / "b", ThreadExecutor)
    here, there = Text(), Text()
    expected = write(tmp_path / "c", ThreadExecutor, calibration=here)
    assert write(tmp_path / "d", workers.executing, calibration=there) == expected
    assert all((a == b).all() for a, b in zip(here.outputs, there.outputs, strict=True))
    assert any("3 machines" in line for line in workers._reporter.lines)
