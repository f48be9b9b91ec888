"""Files that arrive in the background, one after another; who needs one waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import InterruptedRunError
from convert.weights import FileWeight, Rows

Advance = Callable[[int], None]
"""Takes the bytes that have just arrived; raises to break a download off."""

Fetch = Callable[[Path, Advance], None]
"""Brings a file to its path, whole, or raises."""

_SECONDS_TO_CLEAN_UP = 2.0
_SECONDS_BETWEEN_SIGNALS = 1.0


class Downloads:
    """Files on their way, in the given order, but those that are waited for first.

    Nothing is fetched before the first `wait`, so that a checkpoint which is refused on the
    ground of its headers costs no download. The thread ends with the program.

    Args:
        sizes: Bytes of each file.
        fetch: Brings one of them.
    """

    def __init__(self, sizes: Mapping[Path, int], fetch: Fetch) -> None:
        self.sizes = dict(sizes)
        self.bytes_done = 0
        self._fetch = fetch
        self._arrivals: dict[Path, Future[None]] = {path: Future() for path in sizes}
        self._queue = list(sizes)
        self._closed = False
        self._thread: Thread | None = None
        self._lock = Lock()

    @property
    def bytes_total(self) -> int:
        """Bytes of all the files together."""
        return sum(self.sizes.values())

    def wait(self, path: Path) -> None:
        """Return once the file is there whole; at once if it is none of these.

        Raises:
            TricastError: Why this file cannot be had, or one before it.
            InterruptedRunError: `close` was called.
        """
        arrival = self._arrivals.get(path)
        if arrival is None:
            return
        if not arrival.done():
            self._ask_for(path)
        # A signal that comes just before a wait is seen only after it.
        while not wait([arrival], timeout=_SECONDS_BETWEEN_SIGNALS).done:
            pass
        arrival.result()

    def close(self) -> None:
        """Break off what is on its way; who waits gets an error now."""
        if self._closed:
            return
        self._closed = True
        self._give_up(InterruptedRunError("the download was broken off"))
        if self._thread is not None:
            # Time to remove what arrived of a file; a stalled connection is not waited for.
            self._thread.join(_SECONDS_TO_CLEAN_UP)

    def _ask_for(self, path: Path) -> None:
        with self._lock:
            if path in self._queue:
                self._queue.remove(path)
                self._queue.insert(0, path)
            if self._queue and self._thread is None:
                self._thread = Thread(target=self._fetch_all, name="downloads", daemon=True)
                self._thread.start()

    def _fetch_all(self) -> None:
        while (path := self._next()) is not None:
            try:
                self._fetch(path, self._advance)
            except BaseException as error:
                self._give_up(error)
                return
            with self._lock:
                if not self._arrivals[path].done():
                    self._arrivals[path].set_result(None)

    def _next(self) -> Path | None:
        with self._lock:
            return self._queue.pop(0) if self._queue else None

    def _advance(self, count: int) -> None:
        if self._closed:
            raise InterruptedRunError("the download was broken off")
        self.bytes_done += count

    def _give_up(self, error: BaseException) -> None:
        with self._lock:
            self._queue.clear()
            for arrival in self._arrivals.values():
                if not arrival.done():
                    arrival.set_exception(error)


@dataclass(frozen=True)
class ArrivingWeight(FileWeight):
    """A weight in a file that may still be on its way; reading waits for the file.

    Args:
        downloads: Knows whether the file is there.
    """

    downloads: Downloads

    def read_rows_into(self, start: int, stop: int, buffer: NDArray[np.uint8]) -> Rows:
        self.downloads.wait(self.path)
        return super().read_rows_into(start, stop, buffer)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which knows of no downloads: the weight once its file is there."""
        self.downloads.wait(self.path)
        return FileWeight, (self.name, self.shape, self.dtype, self.path, self.offset)
