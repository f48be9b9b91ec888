"""A folder that appears under its final name only when it is complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from convert.errors import OutputExistsError


class PendingFolder:
    """An artifact in the making: ``.NAME.partial`` beside its final place.

    Use as a context manager; unless `publish` was called, leaving it removes what was written.

    Args:
        parent: Folder that will hold the artifact; created if need be.
        name: Final name.

    Raises:
        OutputExistsError: ``parent/name`` is already there.
    """

    def __init__(self, parent: Path, name: str) -> None:
        self.final = parent / name
        self.path = parent / f".{name}.partial"
        require_absent(self.final)
        parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            shutil.rmtree(self.path)
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
        shutil.rmtree(self.path, ignore_errors=True)


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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
