"""SHA-256 of files, and one digest that stands for a whole checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

_BLOCK_BYTES = 4 << 20

T = TypeVar("T")


class FileRecord(BaseModel):
    """A file as a manifest knows it: its path below a folder, its size in bytes, its hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class WrittenFile:
    """A file as it was when it had been written and hashed.

    Args:
        modified: Time of its last change, in ns.
    """

    record: FileRecord
    modified: int

    def is_unchanged(self, path: Path) -> bool:
        """Whether the file, now at ``path``, has been left alone since."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.record.size, self.modified)


def hash_file(folder: Path, path: Path) -> FileRecord:
    """Record one file below ``folder``."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return FileRecord(
        path=path.relative_to(folder).as_posix(),
        size=path.stat().st_size,
        sha256=digest.hexdigest(),
    )


def hash_files(folder: Path, paths: Iterable[Path]) -> tuple[FileRecord, ...]:
    """Record files below ``folder``, sorted by path."""
    return tuple(hash_file(folder, path) for path in sorted(paths))


def combined_digest(records: Sequence[FileRecord]) -> str:
    """One SHA-256 over paths and hashes: equal exactly when all the files are equal."""
    lines = "".join(f"{record.sha256}  {record.path}\n" for record in records)
    return hashlib.sha256(lines.encode()).hexdigest()


def in_background(function: Callable[..., T], *arguments: object) -> Callable[[], T]:
    """Start ``function`` in a thread that ends with the program; the result waits for it."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future.result
