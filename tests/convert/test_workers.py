from __future__ import annotations

import pytest

from convert.executors import ThreadExecutor
from convert.workers import ThisProcess


def test_tasks_give_their_results_in_order() -> None:
    assert list(ThisProcess().map(str, [3, 1, 2])) == ["3", "1", "2"]


def test_an_error_of_a_task_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ThisProcess().map(lambda number: 1 // number, [1, 0]))


def test_chunks_are_done_on_threads() -> None:
    assert ThisProcess().executing is ThreadExecutor
    assert ThisProcess().count == 1
