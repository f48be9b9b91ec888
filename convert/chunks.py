"""Weights cut into chunks, and the jobs that want each of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.journal import Journal
from convert.weights import Weight
from passes.encodings.base import ROW_ALIGNMENT
from targets.base import Layout, WriteJob

BLOCK_BYTES = 1 << 20
"""Bytes of source that are read and encoded at a time: they stay in a core's own cache."""


@dataclass(frozen=True)
class PlacedJob:
    """A write job, the folder that its artifact is being written to, and the journal of it."""

    folder: Path
    job: WriteJob
    journal: Journal | None = None

    def extents(self, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
        """File, offset and size of rows ``start`` to ``stop``, one for each plane."""
        kinds = self.job.encoding.planes(self.job.weight.columns)
        for kind, placement in zip(kinds, self.job.placements, strict=True):
            before = kind.nbytes(start)
            yield placement.file, placement.offset + before, kind.nbytes(stop) - before

    def is_written(self, start: int, stop: int) -> bool:
        """Whether an earlier run wrote these rows."""
        journal = self.journal
        return journal is not None and all(
            journal.holds(*extent) for extent in self.extents(start, stop)
        )


class Cuts:
    """The row numbers at which the common weight of some jobs may be cut.

    No output row of a part may come from outside it, whatever the row orders, and parts start at
    multiples of `ROW_ALIGNMENT`.
    """

    def __init__(self, jobs: Sequence[WriteJob]) -> None:
        weight = jobs[0].weight
        allowed = np.zeros(weight.rows + 1, bool)
        allowed[::ROW_ALIGNMENT] = True
        for job in jobs:
            if job.row_order is not None:
                allowed[1:] &= _closed_prefixes(job.row_order)
        allowed[[0, -1]] = True
        self._rows = np.flatnonzero(allowed)
        self._row_bytes = weight.columns * weight.dtype.itemsize

    def parts(self, start: int, stop: int, limit: int) -> Iterator[tuple[int, int]]:
        """Cut rows ``start`` to ``stop`` into parts of at most ``limit`` bytes, if that can be."""
        rows_at_most = max(1, limit // self._row_bytes)
        while start < stop:
            reach = int(np.searchsorted(self._rows, start + rows_at_most, side="right")) - 1
            nearest = int(np.searchsorted(self._rows, start, side="right"))
            end = min(stop, int(self._rows[max(reach, nearest)]))
            yield start, end
            start = end


@dataclass(frozen=True)
class Chunk:
    """Rows ``start`` to ``stop`` of a weight, and everything that wants them."""

    weight: Weight
    start: int
    stop: int
    jobs: tuple[PlacedJob, ...]
    cuts: Cuts

    @property
    def nbytes(self) -> int:
        """Bytes in the source."""
        return (self.stop - self.start) * self.weight.columns * self.weight.dtype.itemsize

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The chunk's rows in parts of about `BLOCK_BYTES`."""
        return self.cuts.parts(self.start, self.stop, BLOCK_BYTES)


def all_chunks(
    layouts: Sequence[tuple[Path, Layout]], limit: int, journals: Mapping[Path, Journal]
) -> Iterator[Chunk]:
    """Every weight of the layouts in chunks of at most ``limit`` bytes, if that can be."""
    for jobs in by_weight(layouts, journals):
        weight, cuts = jobs[0].job.weight, Cuts([placed.job for placed in jobs])
        for start, stop in cuts.parts(0, weight.rows, limit):
            yield Chunk(weight, start, stop, tuple(jobs), cuts)


def by_weight(
    layouts: Sequence[tuple[Path, Layout]], journals: Mapping[Path, Journal]
) -> list[list[PlacedJob]]:
    """The jobs of all layouts, those of one weight together, in the order of the first layout."""
    groups: dict[Hashable, list[PlacedJob]] = {}
    for folder, layout in layouts:
        for job in layout.jobs:
            groups.setdefault(job.weight.identity, []).append(
                PlacedJob(folder, job, journals.get(folder))
            )
    return list(groups.values())


def _closed_prefixes(row_order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the first i + 1 output rows are a permutation of the first i + 1 source rows."""
    closed: NDArray[np.bool_] = np.maximum.accumulate(row_order) == np.arange(len(row_order))
    return closed
