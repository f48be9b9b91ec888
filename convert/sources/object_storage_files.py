"""A checkpoint in object storage: its small files copied, its weights read where they are."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    BrokenInputError,
    DiskFullError,
    InterruptedRunError,
    UnavailableSourceError,
)
from convert.hashing import FileRecord, hash_file
from convert.sources import safetensors_files
from convert.sources.hub import TEXT_FILES
from convert.sources.object_storage import ObjectFolder
from convert.sources.object_storage_urls import checked_url
from convert.sources.object_storage_windows import WINDOW_BYTES, Windows
from convert.sources.remote_header import read_header_by
from convert.sources.safetensors_files import SafetensorsHeader
from convert.weights import FileWeight, Rows, Weight

_COPIED = (*TEXT_FILES, "README.md")
_AT_ONCE = 4

WINDOWS_AHEAD = 4
"""Of each file that is hashed. A storage may give no more than 90 MB/s to one request."""


class ObjectFiles:
    """The files of a checkpoint in object storage.

    Args:
        url: Its folder: ``s3://``, ``gs://`` or ``az://``.
        scratch: Where a folder is made for what is copied.

    Raises:
        UsageError: That names no folder.
        UnavailableSourceError: There is nothing, no right or no answer.
        DiskFullError: There is no room for the small files.
    """

    def __init__(self, url: str, scratch: Path) -> None:
        url, name = checked_url(url)
        self._source = ObjectFolder(url)
        self.folder = scratch / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._windows = Windows(self._read)
        self._locks = {name: Lock() for name in self._source.objects}
        self._closed = False
        if not self._source.objects:
            raise UnavailableSourceError(
                f"there is nothing in {url}",
                expected="config.json, weights and a tokenizer, right below it",
                remedy="check the name, and `/` at its parts",
            )
        self._bring_all(_COPIED)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: where the files are and what they were, no connection."""
        return {"source": self._source, "folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._source, self.folder = state["source"], state["folder"]
        self._windows = Windows(self._read)
        self._locks = {name: Lock() for name in self._source.objects}
        self._closed = False

    @property
    def coming(self) -> Mapping[str, int]:
        """Safetensors that are not copied, and their sizes in bytes."""
        return {
            name: stored.size
            for name, stored in self._source.objects.items()
            if name.endswith(".safetensors")
        }

    def open_weights(
        self, files: Mapping[str, tuple[str, ...]], skip: Callable[[str], bool]
    ) -> dict[str, Weight]:
        """Every tensor of the safetensors; see `safetensors_files.open_weights`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            headers = dict(zip(files, pool.map(self._header, files), strict=True))
        weights = safetensors_files.open_weights(
            self.folder, files, skip, lambda path: headers[path.name]
        )
        return {name: self._ranged(weight) for name, weight in weights.items()}

    def bring_pickles(self) -> None:
        """Copy PyTorch's files, which have no header to begin with."""
        self._bring_all(("pytorch_model*.bin",))

    def bring(self, path: Path) -> None:
        """Copy a file to its path in the folder, whole, unless it is there.

        Raises:
            DiskFullError: There is no room for it.
            TricastError: As `ObjectFolder.read`.
        """
        with self._locks[path.name]:
            if path.is_file():
                return
            size, free = self._size(path.name), shutil.disk_usage(self.folder).free
            if size > free:
                raise DiskFullError(
                    f"the disk has no room for a copy of {self._source.url}/{path.name}, which the "
                    "original model is run from",
                    expected=f"{size:,} bytes free",
                    found=f"{free:,} bytes free",
                    remedy="free some space, choose another --out, or convert with --no-gate",
                )
            part = path.with_name(f".{path.name}.part")
            self._copy(path.name, part)
            part.replace(path)

    def read_into(self, path: Path, start: int, buffer: NDArray[np.uint8]) -> None:
        """Fill ``buffer`` from byte ``start`` of a file on."""
        self._windows.read_into(path.name, self._size(path.name), start, buffer)

    def hash_file(self, path: Path) -> FileRecord:
        """As `convert.hashing.hash_file`, of a file that need not be here."""
        with self._locks[path.name]:
            if path.is_file():
                return hash_file(self.folder, path)
            digest = hashlib.sha256()
            for piece in self._pieces(path.name):
                digest.update(piece)
        return FileRecord(path=path.name, size=self._size(path.name), sha256=digest.hexdigest())

    def state_of(self, path: Path) -> list[int]:
        """Size now, and a number that stands for the ETag; -1 of what is gone."""
        stored = self._source.listing().get(path.name)
        if stored is None:
            return [-1, 0]
        mark = hashlib.sha256(stored.mark.encode()).digest()
        return [stored.size, int.from_bytes(mark[:6], "big")]

    def close(self) -> None:
        """Let whoever reads end soon, with an error."""
        self._closed = True

    def _size(self, name: str) -> int:
        return self._source.objects[name].size

    def _read(self, name: str, start: int, stop: int) -> memoryview:
        if self._closed:
            raise InterruptedRunError("reading from object storage was broken off")
        return self._source.read(name, start, stop)

    def _pieces(self, name: str) -> Iterator[memoryview]:
        """The whole object, the next windows being read while one is used."""
        size, coming = self._size(name), deque[Future[memoryview]]()
        with ThreadPoolExecutor(WINDOWS_AHEAD) as pool:
            for start in range(0, size, WINDOW_BYTES):
                stop = min(size, start + WINDOW_BYTES)
                coming.append(pool.submit(self._read, name, start, stop))
                if len(coming) > WINDOWS_AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _copy(self, name: str, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        def copy(start: int) -> None:
            data = self._read(name, start, min(self._size(name), start + WINDOW_BYTES))
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, data[done:], start + done)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(copy, range(0, self._size(name), WINDOW_BYTES)))
        finally:
            os.close(descriptor)

    def _bring_all(self, patterns: tuple[str, ...]) -> None:
        for name in self._source.objects:
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                self.bring(self.folder / name)

    def _header(self, name: str) -> SafetensorsHeader:
        def first_bytes(count: int) -> bytes:
            return bytes(self._read(name, 0, count))

        return read_header_by(first_bytes, self.folder / name, self._size(name))

    def _ranged(self, weight: Weight) -> Weight:
        if not isinstance(weight, FileWeight):
            raise BrokenInputError(f"{weight.name} does not lie in a file")
        return RangedWeight(
            weight.name, weight.shape, weight.dtype, weight.path, weight.offset, self
        )


@dataclass(frozen=True)
class RangedWeight(FileWeight):
    """A weight in a file that is in object storage; rows are read by ranges.

    Args:
        files: Reads them.
    """

    files: ObjectFiles

    def read_rows_into(self, start: int, stop: int, buffer: NDArray[np.uint8]) -> Rows:
        if self.path.is_file():
            return super().read_rows_into(start, stop, buffer)
        row_bytes = self.columns * self.dtype.itemsize
        self.files.read_into(self.path, self.offset + start * row_bytes, buffer)
        return buffer.view(self.dtype.numpy).reshape(stop - start, self.columns)
