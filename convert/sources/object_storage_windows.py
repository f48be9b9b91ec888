"""Windows of objects, read once each though threads want parts of them at different times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

import numpy as np
from numpy.typing import NDArray

WINDOW_BYTES = 8 << 20
"""Of a request: its delay, tens of milliseconds, is then little beside the transfer."""

KEPT_WINDOWS = 16
"""In memory at once: two for each of eight threads."""

ReadRange = Callable[[str, int, int], memoryview]
"""Reads bytes from start to stop of what is named."""


class Windows:
    """Reads any bytes by whole windows, of which the last used are kept.

    Args:
        read: Reads a range.
        window: Bytes of one.
        kept: How many are kept.
    """

    def __init__(
        self, read: ReadRange, *, window: int = WINDOW_BYTES, kept: int = KEPT_WINDOWS
    ) -> None:
        self._read = read
        self._window = window
        self._kept = kept
        self._windows: OrderedDict[tuple[str, int], Future[memoryview]] = OrderedDict()
        self._lock = Lock()

    def read_into(self, name: str, size: int, start: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` from byte ``start`` on of an object of ``size`` bytes.

        Raises:
            TricastError: What reading raises.
        """
        view, done = buffer.data, 0
        while done < len(view):
            index, skipped = divmod(start + done, self._window)
            whole = self._get(name, index, size)
            part = whole[skipped : skipped + len(view) - done]
            assert len(part), f"byte {start + done} of {name} lies behind its end"
            view[done : done + len(part)] = part
            done += len(part)

    def _get(self, name: str, index: int, size: int) -> memoryview:
        key = (name, index)
        with self._lock:
            found = self._windows.get(key)
            if found is not None:
                self._windows.move_to_end(key)
            else:
                coming: Future[memoryview] = Future()
                self._windows[key] = coming
                while len(self._windows) > self._kept:
                    self._windows.popitem(last=False)
        if found is not None:
            return found.result()
        first = index * self._window
        try:
            coming.set_result(self._read(name, first, min(size, first + self._window)))
        except BaseException as error:
            with self._lock:
                self._windows.pop(key, None)
            coming.set_exception(error)
        return coming.result()
