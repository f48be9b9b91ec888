"""Asks the system for bytes before they are read: a disk works while the cores do."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

_STEP = 2 << 20
"""Linux reads no more than this for one request, however much it is asked for."""


def read_ahead(path: Path, offset: int, nbytes: int) -> None:
    """Ask for bytes of a file that will be read soon; returns before they are there.

    Only advice: where it cannot be given (no such file yet, no such call), nothing happens.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        for start in range(offset, offset + nbytes, _STEP):
            size = min(_STEP, offset + nbytes - start)
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_WILLNEED)
    except OSError:
        return
    finally:
        os.close(descriptor)


def read_files_ahead(paths: Iterable[Path], limit: int) -> Thread:
    """Ask for whole files, one after the other, on a thread of its own.

    Args:
        paths: In the order in which they will be read.
        limit: Bytes, of all together.

    Returns:
        The thread, which has begun.
    """
    sizes = [(path, path.stat().st_size) for path in paths if path.is_file()]
    thread = Thread(target=_read_ahead_all, args=(sizes, limit), daemon=True)
    thread.start()
    return thread


def _read_ahead_all(sizes: list[tuple[Path, int]], left: int) -> None:
    for path, size in sizes:
        if left <= 0:
            return
        read_ahead(path, 0, min(size, left))
        left -= size
