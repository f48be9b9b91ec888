"""A pool of threads: few tasks wait, the first error ends it all."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Event, Lock

import pytest

from convert.pool import Pool


class Told:
    """What a pool tells."""

    def __init__(self):
        self.bytes, self.abandoned = 0, 0

    def pool(self, threads=2):
        return Pool(threads, self.done, self.abandon)

    def done(self, count):
        self.bytes += count

    def abandon(self):
        self.abandoned += 1


@pytest.fixture
def told():
    return Told()


def failing():
    raise ValueError("a task failed")


def test_leaving_waits_for_all_tasks_and_counts_their_bytes(told):
    with told.pool() as pool:
        for size in range(20):
            pool.submit(lambda size=size: size)
    assert told.bytes == sum(range(20))
    assert not told.abandoned


def test_few_tasks_wait_for_their_turn(told):
    begun, lock, go = [], Lock(), Event()

    def task():
        with lock:
            begun.append(1)
        assert go.wait(10)
        return 0

    with told.pool() as pool:
        for _ in range(4):
            pool.submit(task)
        go.set()
        for number in range(100):
            pool.submit(task)
            assert len(begun) >= number


def test_an_error_of_a_task_ends_it_all(told):
    with pytest.raises(ValueError, match="a task failed"), told.pool() as pool:
        for _ in range(100):
            pool.submit(failing)
    assert told.abandoned == 1


def test_an_error_between_tasks_ends_it_all_too(told):
    with pytest.raises(KeyError), told.pool() as pool:
        pool.submit(lambda: 1)
        raise KeyError
    assert told.abandoned == 1


def test_events_are_waited_for_without_the_tasks_that_bring_them_about(told):
    event, go = Future(), Event()

    def task():
        event.set_result(None)
        assert go.wait(10)
        return 7

    with told.pool() as pool:
        pool.submit(task)
        pool.wait_for([event])
        assert told.bytes == 0
        go.set()
    assert told.bytes == 7


def test_an_event_that_fails_is_raised(told):
    event = Future()
    event.set_exception(ValueError("it never comes"))
    with pytest.raises(ValueError, match="never comes"), told.pool() as pool:
        pool.wait_for([Future(), event])
