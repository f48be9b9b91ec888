"""A file of JSON Lines that appears under its name when it is whole, and can be gone on with."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from convert.errors import OutputBusyError, OutputExistsError, ResumeError

_SETTINGS, _LINES = "settings.json", "lines.jsonl"


class OutputLines:
    """Lines on their way into ``path``, kept in ``.NAME.partial`` beside it until all are there.

    A later run with the same settings goes on after the last finished line. Use as a context
    manager: leaving it by an error keeps what is written, if anything is.

    Args:
        path: The file; it must be new.
        settings: What the lines depend on.
        restart: Discard what an earlier run left.
        together: Lines are finished so many at once; less of them counts for nothing.

    Raises:
        OutputExistsError: ``path`` is already there.
        OutputBusyError: Another run is writing it.
        ResumeError: An earlier run with other settings left lines.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        restart: bool = False,
        together: int = 1,
    ) -> None:
        self._path = path
        self._require_absent()
        self._work = path.with_name(f".{path.name}.partial")
        self._work.mkdir(parents=True, exist_ok=True)
        self._file = (self._work / _LINES).open("a+b")
        try:
            self._lock()
            if restart:
                self._file.truncate(0)
            self.finished = self._take_up(json.dumps(settings, sort_keys=True), together)
        except BaseException:
            self._file.close()
            raise

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a line."""
        text = json.dumps(record, ensure_ascii=False)
        self._file.write(f"{text}\n".encode())
        self._file.flush()
        self.finished += 1

    def publish(self) -> None:
        """Flush to disk and give the file its name."""
        os.fsync(self._file.fileno())
        self._require_absent()
        (self._work / _LINES).rename(self._path)
        self.finished = 0

    def __enter__(self) -> OutputLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.finished:
            shutil.rmtree(self._work, ignore_errors=True)
        self._file.close()

    def _take_up(self, settings: str, together: int) -> int:
        """How many lines an earlier run left; what is torn behind them is cut off."""
        self._file.seek(0)
        lines = [line for line in self._file if line.endswith(b"\n")]
        whole = lines[: len(lines) // together * together]
        recorded = self._work / _SETTINGS
        if whole and (not recorded.is_file() or recorded.read_text("utf-8") != settings):
            raise ResumeError(
                f"an interrupted run left {len(whole)} lines of {self._path.name} that were made "
                "otherwise",
                expected="the same artifact, texts and options",
                remedy="give those, or discard the lines with --restart",
            )
        self._file.truncate(sum(map(len, whole)))
        recorded.write_text(settings, encoding="utf-8")
        return len(whole)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputBusyError(
                f"another run is writing {self._path}",
                remedy="wait for it, or choose another --out",
            ) from error

    def _require_absent(self) -> None:
        if self._path.exists() or self._path.is_symlink():
            raise OutputExistsError(
                f"{self._path} already exists",
                expected="a new file; nothing is ever overwritten",
                remedy="remove it, or choose another --out",
            )
