"""Codes that a calibrated method found, one file for each weight: kept, read and put to use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError
from convert.weights import FileWeight, FloatType, RowRange, RowRanges, Rows, Weight
from passes.encodings.base import Bytes, Encoding
from passes.encodings.records import Recorded
from targets.base import Layout, WriteJob


class KeptCodes:
    """A folder of encoded weights in the safetensors format.

    A file holds one array of bytes, ``records [rows, record_bytes]``, see
    `passes.encodings.records`; it is there as a whole or not at all.

    Args:
        folder: Made when the first weight is kept.
        encodings: How each weight is stored, by its name.
        weights: The weights themselves.
    """

    def __init__(
        self, folder: Path, encodings: Mapping[str, Encoding], weights: Mapping[str, Weight]
    ) -> None:
        self.folder = folder
        self._recorded = {
            name: Recorded(encoding, weights[name].columns, folder.name)
            for name, encoding in encodings.items()
        }
        self._weights = {name: weights[name] for name in encodings}
        self._names = {weight.identity: name for name, weight in self._weights.items()}
        self._open: dict[str, FileWeight] = {}
        self._partial: tuple[str, NDArray[np.uint8]] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every weight is there."""
        return all(self._path(name).is_file() for name in self._recorded)

    def has(self, name: str) -> bool:
        """Whether a weight is there."""
        return self._path(name).is_file()

    def keep(self, name: str, start: int, stop: int, planes: tuple[Bytes, ...]) -> None:
        """Take in rows of a weight, one block after the other; the last one makes the file."""
        recorded, rows = self._recorded[name], self._weights[name].rows
        if start == 0:
            self._partial = name, np.empty((rows, recorded.record_bytes), np.uint8)
        assert self._partial is not None and self._partial[0] == name
        records = self._partial[1]
        records[start:stop] = recorded.records(planes, stop - start)
        if stop == rows:
            self._partial = None
            _write(self._path(name), records)

    def find(self, name: str, start: int, stop: int) -> tuple[Bytes, ...] | None:
        """The planes of rows that are there already."""
        if self._partial is not None or not self.has(name):
            return None
        return self._recorded[name].encode(self._file(name).read_rows(start, stop))

    def put_into(self, layout: Layout) -> Layout:
        """A layout whose jobs copy codes where there are any, instead of making others.

        Raises:
            UnsupportedError: Some codes would be used by no job.
        """
        used: set[str] = set()
        jobs = tuple(self._instead_of(job, used) for job in layout.jobs)
        unused = sorted(self._recorded.keys() - used)
        if unused:
            raise UnsupportedError(
                f"the target stores {unused[0]} in a form that calibrated codes do not fit",
                remedy="leave out the method, or choose another encoding or target",
            )
        return replace(layout, jobs=jobs)

    def meant(self, weight: Weight) -> Weight:
        """What the codes of a weight stand for; the weight itself if it has none."""
        found = self._records(weight)
        if found is None:
            return weight
        names, records = found
        return _Decoded(records, self._recorded[names[0]], weight.name, weight.shape)

    def _instead_of(self, job: WriteJob, used: set[str]) -> WriteJob:
        found = self._records(job.weight)
        if found is None:
            return job
        names, records = found
        recorded = self._recorded[names[0]]
        if recorded.planes(0) != job.encoding.planes(job.weight.columns):
            return job
        used.update(names)
        return replace(job, weight=records, encoding=recorded)

    def _records(self, weight: Weight) -> tuple[Sequence[str], Weight] | None:
        """The records of a weight, or of rows of several."""
        name = self._names.get(weight.identity)
        if name is not None:
            return (name,), self._file(name)
        if not isinstance(weight, RowRanges):
            return None
        names = [self._names.get(part.weight.identity) for part in weight.ranges]
        known = [name for name in names if name is not None]
        if len(known) < len(names):
            return None
        ranges = [
            RowRange(self._file(name), part.start, part.stop)
            for name, part in zip(known, weight.ranges, strict=True)
        ]
        return known, RowRanges(weight.name, tuple(ranges))

    def _file(self, name: str) -> FileWeight:
        if name not in self._open:
            path, weight = self._path(name), self._weights[name]
            words = self._recorded[name].record_bytes // FloatType.F16.itemsize
            size = path.stat().st_size - 2 * words * weight.rows
            shape = (weight.rows, words)
            self._open[name] = FileWeight(name, shape, FloatType.F16, path, size)
        return self._open[name]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


@dataclass(frozen=True)
class _Decoded(Weight):
    records: Weight
    recorded: Recorded
    name: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        return FloatType.F32

    def read_rows(self, start: int, stop: int) -> Rows:
        planes = self.recorded.encode(self.records.read_rows(start, stop))
        return self.recorded.decode(planes, stop - start, self.columns)


def _write(path: Path, records: NDArray[np.uint8]) -> None:
    described: dict[str, Any] = {
        "records": {"dtype": "U8", "shape": records.shape, "data_offsets": [0, records.nbytes]}
    }
    header = json.dumps(described).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.write(records.data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
