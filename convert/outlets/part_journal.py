"""Which parts of an artifact have gone to object storage, so that a restarted run sends the others.

Text that only grows, as that of `convert.journal`: a line for each upload that was begun, for each
part that the storage took, and one with the names of all objects before the first of them is made
visible. No line is trusted: a part counts as sent if its bytes here still have the recorded MD5 and
the storage still lists it with the recorded ETag.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from convert.journal import whole_lines


@dataclass(frozen=True)
class Begun:
    """An upload of a file by parts.

    Args:
        size: Of the file, in bytes.
        part: Bytes of a part.
        identifier: What the storage calls the upload.
    """

    size: int
    part: int
    identifier: str


@dataclass(frozen=True)
class Sent:
    """A part that the storage took.

    Args:
        md5: Of its bytes, in hexadecimal digits.
        etag: What the storage answered.
    """

    md5: str
    etag: str


class PartJournal:
    """The journal of one artifact; safe to use from several threads.

    Args:
        path: Its file, which need not be there, and is not made before there is something to say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self.uploads: dict[str, Begun] = {}
        self.objects: frozenset[str] = frozenset()
        self._sent: dict[str, dict[int, Sent]] = {}
        if path.is_file():
            os.truncate(path, self._read())

    @property
    def is_empty(self) -> bool:
        """Whether the storage holds nothing of it."""
        return not self.uploads and not self.objects

    def sent(self, file: str) -> Mapping[int, Sent]:
        """The parts of a file that were taken, by number from 0 on."""
        with self._lock:
            return dict(self._sent.get(file, {}))

    def begin(self, file: str, begun: Begun) -> None:
        """An upload was begun, in the place of any earlier one of that file."""
        with self._lock:
            self.uploads[file] = begun
            self._sent[file] = {}
            self._append({"upload": [file, begun.size, begun.part, begun.identifier]})

    def record(self, file: str, number: int, sent: Sent) -> None:
        """A part was taken."""
        with self._lock:
            self._sent[file][number] = sent
            self._append([file, number, sent.md5, sent.etag])

    def publish(self, objects: Iterable[str]) -> None:
        """These objects will be visible from now on, some of them sooner than others."""
        with self._lock:
            self.objects = frozenset(objects)
            self._append({"objects": sorted(self.objects)})

    def remove(self) -> None:
        """Forget everything."""
        with self._lock:
            self._path.unlink(missing_ok=True)
            self.uploads, self.objects, self._sent = {}, frozenset(), {}

    def _append(self, entry: object) -> None:
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(line)

    def _read(self) -> int:
        """Take in the lines that are whole; their bytes."""
        length = 0
        for entry, size in whole_lines(self._path):
            match entry:
                case {"upload": [str(file), int(whole), int(part), str(identifier)]}:
                    self.uploads[file] = Begun(whole, part, identifier)
                    self._sent[file] = {}
                case {"objects": [*names]}:
                    self.objects = frozenset(map(str, names))
                case [str(file), int(number), str(md5), str(etag)] if file in self._sent:
                    self._sent[file][number] = Sent(md5, etag)
                case _:
                    break
            length += size
        return length
