"""A folder that appears under its final name only when it is complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from convert.errors import (
    BrokenInputError,
    ChangedInputError,
    GateError,
    OutputBusyError,
    OutputExistsError,
    UnsupportedError,
)

JOURNAL_NAME = "journal"
_LOCK_NAME = "lock"
_BLOCK_BYTES = 512
_VERDICTS = (GateError, UnsupportedError, BrokenInputError)
"""Errors that another run would only meet again."""


class PendingFolder:
    """An artifact in the making, in ``.NAME.partial`` beside its final place.

    That folder holds the artifact itself (`path`), the journal of what is written (`journal`),
    and a lock. Use as a context manager. Unless `publish` was called, leaving it removes
    everything, except where a journal was begun and running again can help: after an
    interruption, on a full disk.

    Args:
        parent: Folder that will hold the artifact; created if need be.
        name: Final name.
        restart: Discard what an earlier run left, even if it could go on.

    Raises:
        OutputExistsError: ``parent/name`` is already there.
        OutputBusyError: Another run is making it.
    """

    def __init__(self, parent: Path, name: str, *, restart: bool = False) -> None:
        self.final = parent / name
        self._work = partial_folder(parent, name)
        self.path = self._work / "artifact"
        self.journal = self._work / JOURNAL_NAME
        require_absent(self.final)
        self._lock = _lock(self._work)
        if restart:
            self.journal.unlink(missing_ok=True)
        if not self.journal.exists():
            self.clear()
        self.path.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Remove the files of the artifact, not the journal."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()

    def publish(self) -> Path:
        """Flush every file to disk and give the folder its final name."""
        for path in sorted(self.path.rglob("*")):
            _flush(path)
        _flush(self.path)
        require_absent(self.final)
        self.path.rename(self.final)
        _flush(self.final.parent)
        return self.final

    def set_aside(self) -> Path:
        """Keep what was written as ``NAME.failed``, replacing an earlier one."""
        failed = self.final.with_name(f"{self.final.name}.failed")
        if failed.exists():
            shutil.rmtree(failed)
        self.path.rename(failed)
        return failed

    def __enter__(self) -> PendingFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        final = isinstance(error, _VERDICTS) and not isinstance(error, ChangedInputError)
        resumable = error is not None and not final
        if not (resumable and self.path.exists() and self.journal.exists()):
            self._remove()
        os.close(self._lock)

    def _remove(self) -> None:
        """Remove everything, the lock last: until then no other run can begin."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.journal.unlink(missing_ok=True)
        (self._work / _LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):
            self._work.rmdir()


def partial_folder(parent: Path, name: str) -> Path:
    """Where the artifact ``parent/name`` is being made."""
    return parent / f".{name}.partial"


def holder(folder: Path) -> str | None:
    """The run that is making the artifact in ``folder``, by a number of its own; None if none is.

    Whoever reads the same number on another machine sees the same folder.
    """
    try:
        # Asked before each write of a worker: pathlib would take longer than the system.
        with open(f"{folder.parent}/{_LOCK_NAME}", encoding="ascii") as lock:  # noqa: PTH123
            return lock.read() or None
    except (OSError, ValueError):
        return None


def bytes_on_disk(folder: Path) -> int:
    """Disk space that the files below ``folder`` take; holes take none."""
    return sum(path.lstat().st_blocks * _BLOCK_BYTES for path in folder.rglob("*"))


def require_absent(folder: Path) -> None:
    """Refuse to touch an artifact that is already there.

    Raises:
        OutputExistsError: ``folder`` exists.
    """
    if folder.exists() or folder.is_symlink():
        raise OutputExistsError(
            f"{folder} already exists",
            expected="a new folder for each artifact; nothing is ever overwritten",
            remedy="remove it, or choose another --out",
        )


def _lock(work: Path) -> int:
    """Make the folder ``work`` ours for as long as the returned descriptor is open."""
    while True:
        work.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(work / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                return _signed(descriptor)  # a file system without locks
            os.close(descriptor)
            raise OutputBusyError(
                f"another run is writing to {work.parent}",
                expected="one run at a time in an output folder",
                remedy="wait for it, or choose another --out",
            ) from error
        if _is_at(descriptor, work / _LOCK_NAME):
            return _signed(descriptor)
        os.close(descriptor)  # the run that held it has just ended and removed it


def _signed(descriptor: int) -> int:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, uuid4().hex.encode(), 0)
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
