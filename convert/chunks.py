"""Weights cut into chunks, and the jobs that want each of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.journal import Journal
from convert.runs import Runs, by_columns, runs_of_rows
from convert.weights import Weight
from passes.encodings.base import ROW_ALIGNMENT, Bytes
from targets.base import Layout, WriteJob

BLOCK_BYTES = 1 << 20
"""Bytes of source that are read and encoded at a time: they stay in a core's own cache."""

CELL_BYTES = 1 << 20
"""Bytes of source that a text is multiplied with at a time, at most."""

FEWEST_CELL_ROWS = 128
"""Of longer rows there are more bytes in a cell: a product with few rows is slow."""

Extent = tuple[str, int, int, Runs | None]
"""File, offset of the first byte, bytes, and the runs that they lie in; None for one."""


@dataclass(frozen=True)
class PlacedJob:
    """A write job, the folder that its artifact is being written to, and the journal of it."""

    folder: Path
    job: WriteJob
    journal: Journal | None = None

    def extents(self, start: int, stop: int) -> Iterator[Extent]:
        """Where rows ``start`` to ``stop`` lie, for each plane."""
        weight = self.job.weight
        kinds = self.job.encoding.planes(weight.columns)
        for kind, place in zip(kinds, self.job.placements, strict=True):
            if place.columns is None:
                before = kind.nbytes(start)
                yield place.file, place.offset + before, kind.nbytes(stop) - before, None
            else:
                runs = runs_of_rows(place.offset, place.columns, kind, weight.rows, start, stop)
                yield place.file, *runs

    def pieces(
        self, start: int, stop: int, planes: Sequence[Bytes]
    ) -> Iterator[tuple[str, int, Bytes, Runs | None]]:
        """Where rows ``start`` to ``stop`` lie, and their planes as they lie there."""
        extents = self.extents(start, stop)
        for (file, offset, _, runs), place, plane in zip(
            extents, self.job.placements, planes, strict=True
        ):
            lying = by_columns(plane, place.columns, stop - start) if place.columns else plane
            yield file, offset, lying, runs

    def is_written(self, start: int, stop: int) -> bool:
        """Whether an earlier run wrote these rows."""
        journal = self.journal
        return journal is not None and all(
            journal.holds(*extent) for extent in self.extents(start, stop)
        )


def cell_rows(weight: Weight) -> int:
    """Rows of a weight that a text is multiplied with at a time.

    A power of two that follows from the weight alone: a product with other rows beside it may
    differ in its last bits, and so may then what comes of it.
    """
    fitting = CELL_BYTES // (weight.columns * weight.dtype.itemsize)
    return max(FEWEST_CELL_ROWS, 1 << max(0, fitting.bit_length() - 1))


def chunk_count(weight: Weight, limit: int, *, in_cells: bool = False) -> int:
    """How many chunks `WeightJobs.chunks` makes of a weight whose jobs leave its rows in order."""
    step = cell_rows(weight) if in_cells else ROW_ALIGNMENT
    most = max(step, limit // (weight.columns * weight.dtype.itemsize))
    usual = most // step * step  # only the last chunk may have other rows
    return 1 + max(0, -(-(weight.rows - most) // usual))


class Cuts:
    """The row numbers at which a weight may be cut.

    No output row of a part may come from outside it, whatever the row orders of its jobs, and
    parts start at multiples of ``step``.

    Args:
        weight: What is cut.
        jobs: Those that want it.
        step: A multiple of `ROW_ALIGNMENT`.
    """

    def __init__(self, weight: Weight, jobs: Sequence[WriteJob], step: int = ROW_ALIGNMENT) -> None:
        allowed = np.zeros(weight.rows + 1, bool)
        allowed[::step] = True
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

    def within(self, start: int, stop: int) -> Cuts:
        """What cuts rows ``start`` to ``stop``, where both may be cut, as this does."""
        part = copy(self)
        low, high = np.searchsorted(self._rows, [start, stop])
        part._rows = self._rows[low : high + 1]
        return part


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

    @property
    def missing(self) -> tuple[PlacedJob, ...]:
        """The jobs that no earlier run did."""
        return tuple(job for job in self.jobs if not job.is_written(self.start, self.stop))

    def alone(self, jobs: Sequence[PlacedJob]) -> Chunk:
        """The chunk with these of its jobs only, for another process: no journal, few cuts."""
        own = tuple(replace(placed, journal=None) for placed in jobs)
        return replace(self, jobs=own, cuts=self.cuts.within(self.start, self.stop))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """The chunk's rows in parts of about `BLOCK_BYTES`."""
        return self.cuts.parts(self.start, self.stop, BLOCK_BYTES)

    def cells(self) -> Iterator[tuple[int, int]]:
        """The chunk's rows in parts of `cell_rows`."""
        step = cell_rows(self.weight)
        for start in range(self.start, self.stop, step):
            yield start, min(start + step, self.stop)


@dataclass(frozen=True)
class WeightJobs:
    """A weight and all jobs that want it, perhaps none."""

    weight: Weight
    jobs: tuple[PlacedJob, ...] = ()

    def chunks(self, limit: int, *, in_cells: bool = False) -> Iterator[Chunk]:
        """The weight in chunks of at most ``limit`` bytes, if that can be.

        Args:
            limit: Bytes.
            in_cells: Whether chunks consist of whole cells, see `cell_rows`.
        """
        step = cell_rows(self.weight) if in_cells else ROW_ALIGNMENT
        cuts = Cuts(self.weight, [placed.job for placed in self.jobs], step)
        for start, stop in cuts.parts(0, self.weight.rows, limit):
            yield Chunk(self.weight, start, stop, self.jobs, cuts)


def by_weight(
    layouts: Sequence[tuple[Path, Layout]], journals: Mapping[Path, Journal]
) -> list[WeightJobs]:
    """The jobs of all layouts, those of one weight together, in the order of the first layout."""
    groups: dict[Hashable, list[PlacedJob]] = {}
    for folder, layout in layouts:
        for job in layout.jobs:
            placed = PlacedJob(folder, job, journals.get(folder))
            groups.setdefault(job.weight.identity, []).append(placed)
    return [WeightJobs(jobs[0].job.weight, tuple(jobs)) for jobs in groups.values()]


def _closed_prefixes(row_order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the first i + 1 output rows are a permutation of the first i + 1 source rows."""
    closed: NDArray[np.bool_] = np.maximum.accumulate(row_order) == np.arange(len(row_order))
    return closed
