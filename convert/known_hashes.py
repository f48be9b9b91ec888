"""Hashes of large files that have not changed since they were hashed.

As git and make do, a file is taken for unchanged while device, inode, size, time of modification
and time of status change are what they were; the last of these cannot be set back by a program. A
file that was touched shortly before it was hashed is not remembered: it might be touched again
within the tick of the file system's clock.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from convert.cache_folder import cache_folder
from convert.hashing import FileRecord, hash_file

SMALLEST_BYTES = 16 << 20
"""Smaller files are hashed in less time than it takes to be clever."""

_TICK_SECONDS = 2.0
_ENTRIES = 4096
_SHA256 = re.compile("[0-9a-f]{64}")


class KnownHashes:
    """Reads and writes one small file in the user's cache folder."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder() / "hashes.json"

    def hash_file(self, folder: Path, path: Path) -> FileRecord:
        """As `convert.hashing.hash_file`, from memory where the file is known and unchanged."""
        before = path.stat()
        if before.st_size < SMALLEST_BYTES:
            return hash_file(folder, path)
        key = _key(before)
        known = self._read().get(key)
        if isinstance(known, str) and _SHA256.fullmatch(known):
            name = path.relative_to(folder).as_posix()
            return FileRecord(path=name, size=before.st_size, sha256=known)
        settled = time.time() - max(before.st_mtime, before.st_ctime) > _TICK_SECONDS
        record = hash_file(folder, path)
        if settled and _key(path.stat()) == key:
            self._keep(key, record.sha256)
        return record

    def _read(self) -> Mapping[str, Any]:
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _keep(self, key: str, sha256: str) -> None:
        """Two runs that do this at once may lose an entry, never damage one."""
        kept = [*self._read().items()][1 - _ENTRIES :]
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._path.parent, prefix="hashes-", delete=False
            ) as file:
                json.dump(dict([*kept, (key, sha256)]), file, indent=0)
            Path(file.name).replace(self._path)


def _key(status: os.stat_result) -> str:
    return (
        f"{status.st_dev} {status.st_ino} {status.st_size} "
        f"{status.st_mtime_ns} {status.st_ctime_ns}"
    )
