"""Threads that work off tasks, few of which wait at any time; the first error ends it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from types import TracebackType

_SECONDS_BETWEEN_SIGNALS = 1.0


class Pool:
    """A thread pool whose tasks count the bytes that they are done with.

    Use as a context manager: leaving it waits for all tasks; with an error, for those begun.

    Args:
        threads: Tasks in work at once.
        done: Told of the bytes of tasks that have ended, on the thread that submits.
        abandon: Called on an error, before begun tasks are waited for.
    """

    def __init__(
        self, threads: int, done: Callable[[int], None], abandon: Callable[[], None]
    ) -> None:
        self._threads = threads
        self._done = done
        self._abandon = abandon
        self._pool = ThreadPoolExecutor(threads)
        self._working: set[Future[int]] = set()

    def submit(self, task: Callable[[], int]) -> None:
        """Have a task done soon; returns when few others wait for their turn.

        Raises:
            Exception: What a task raised, not necessarily this one.
        """
        self._working.add(self._pool.submit(task))
        while len(self._working) > 2 * self._threads:
            self._collect()

    def wait_for(self, events: Iterable[Future[None]]) -> None:
        """Return when all events have come that tasks bring about.

        Raises:
            Exception: What a task raised that was to bring one about.
        """
        coming = set(events)
        while coming:
            came, coming = wait(
                coming, timeout=_SECONDS_BETWEEN_SIGNALS, return_when=FIRST_EXCEPTION
            )
            for event in came:
                event.result()

    def finish(self) -> None:
        """Return when all tasks have ended.

        Raises:
            Exception: What a task raised.
        """
        while self._working:
            self._collect()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        except BaseException:
            self._end()
            raise
        if error is not None:
            self._end()
        self._pool.shutdown()

    def _end(self) -> None:
        self._abandon()
        self._pool.shutdown(cancel_futures=True)

    def _collect(self) -> None:
        """Take in what has ended, perhaps nothing yet."""
        # A signal that comes just before a wait is seen only after it, and a download may take
        # hours.
        finished, self._working = wait(
            self._working, timeout=_SECONDS_BETWEEN_SIGNALS, return_when=FIRST_COMPLETED
        )
        self._done(sum(future.result() for future in finished))
