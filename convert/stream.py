"""Evaluates lazy weights into files: chunked by rows, each weight read once for all artifacts.

Several threads each take a chunk of rows, read it block by block, encode each block for every
artifact that wants it, and write what has come together where it belongs; so reading, encoding and
writing overlap, and a thread of its own hashes each artifact behind the writers. Memory is bounded
by one chunk a thread, whatever the size of the model or of a single tensor.

A text may run through the model on the same read (`Calibration`). Then it sets the pace: the main
thread computes what lies between two linear layers and hands the weight of the next one to the
threads, which multiply the text with each chunk before they encode it. It waits for the products
only, so that encoding goes on while the text does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from convert.chunks import Chunk, PlacedJob, WeightJobs, by_weight
from convert.errors import DiskFullError, NonFiniteWeightError
from convert.executors import Executing, Executor, ThreadExecutor
from convert.following import FollowingHashes
from convert.hashing import WrittenFile
from convert.journal import Journal
from convert.outlets.base import Follow, nobody_follows
from convert.runs import Runs, write_all
from convert.weights import Weight
from convert.weights_ahead import WeightsAhead
from passes.calibration.reading import Take
from passes.encodings.base import Bytes
from targets.base import Layout, OutputFile, WriteJob

CHUNK_BYTES = 8 << 20
"""Bytes of source between two writes of a thread; their encoded forms are in memory."""

BytesDone = Callable[[int], None]
"""Called with the source bytes of each chunk that is on its way to disk."""

WrittenFiles = Mapping[str, WrittenFile]
"""By path below the artifact's folder."""


PassWeight = Callable[[Weight, Take | None], Callable[[], None]]
"""Reads a weight; returns when all its rows were taken in, if something takes them in."""


class Calibration(Protocol):
    """A text that runs through the model, and encodings that await what it finds."""

    def multiplies(self, weight: Weight) -> bool:
        """Whether the text is multiplied with a weight, in this run or in one that this repeats:
        then its chunks consist of whole cells, see `convert.chunks`.
        """

    def is_expected(self, weight: Weight) -> bool:
        """Whether the text is still to come to a weight."""

    def bind(self, job: WriteJob) -> WriteJob | None:
        """The job with the encoding that it awaits; None if that is not known yet."""

    def run(self, pass_weight: PassWeight) -> None:
        """Run the text, reading weights by ``pass_weight``."""


class NoCalibration(Calibration):
    """No text, no encoding that awaits anything."""

    def multiplies(self, weight: Weight) -> bool:
        return False

    def is_expected(self, weight: Weight) -> bool:
        return False

    def bind(self, job: WriteJob) -> WriteJob | None:
        return job

    def run(self, pass_weight: PassWeight) -> None:
        pass


def write_layouts(
    layouts: Sequence[tuple[Path, Layout]],
    done: BytesDone | None = None,
    *,
    threads: int = 2,
    chunk_bytes: int = CHUNK_BYTES,
    journals: Mapping[Path, Journal] | None = None,
    abandon: Callable[[], None] = lambda: None,
    calibration: Calibration | None = None,
    executing: Executing = ThreadExecutor,
    follow: Follow = nobody_follows,
) -> Mapping[Path, WrittenFiles]:
    """Write every file of every layout, each below its own folder, which must exist.

    What a journal says is written already is not read, encoded or written again.

    Args:
        layouts: Pairs of an artifact's folder and its layout.
        done: Told of progress in bytes of source; see `source_bytes` for their sum.
        threads: Chunks in work at once.
        chunk_bytes: Bytes of source in a chunk.
        journals: By artifact's folder: remembers what was written.
        abandon: Called when an error ends it all, before other threads are waited for: lets go
            of reads that wait for bytes which have not come yet.
        calibration: What runs a text on the same read.
        executing: Who does the chunks; threads of this process otherwise.
        follow: Who is told of the bytes of each artifact that are in place.

    Returns:
        By artifact's folder: every file with its SHA-256, as read back.

    Raises:
        NonFiniteWeightError: A weight holds NaN or Inf.
        BrokenInputError: A source file ends early.
        DiskFullError: The file system ran out of space.
    """
    for folder, layout in layouts:
        for file in layout.files:
            _create(folder, file)
    with ExitStack() as opened:
        outputs = {folder: _Output(folder, layout, opened, follow) for folder, layout in layouts}
        try:
            with executing(outputs, threads, done or (lambda _: None), abandon) as executor:
                groups = by_weight(layouts, journals or {})
                _Stream(groups, executor, chunk_bytes, calibration or NoCalibration()).run()
            return {folder: output.hashes.results() for folder, output in outputs.items()}
        except OSError as error:
            raise _as_disk_full(error) from error


def source_bytes(layouts: Sequence[tuple[Path, Layout]]) -> int:
    """Bytes that `write_layouts` will read."""
    return sum(group.weight.nbytes for group in by_weight(layouts, {}))


class _Stream:
    """Weights on their way to the executor: each when its turn comes."""

    def __init__(
        self,
        groups: Sequence[WeightJobs],
        executor: Executor,
        limit: int,
        calibration: Calibration,
    ) -> None:
        self._left: dict[Hashable, WeightJobs] = {each.weight.identity: each for each in groups}
        self._executor = executor
        self._limit = limit
        self._calibration = calibration
        self._ahead = WeightsAhead([group.weight for group in groups])

    def run(self) -> None:
        """Submit everything."""
        try:
            self._calibration.run(self._pass_weight)
        except NonFiniteWeightError:
            self._executor.finish()  # a chunk may know better which weight it comes from
            raise
        for group in self._left.values():
            bound = self._bound(group)
            assert bound is not None, f"it is not known how to encode {group.weight.name}"
            self._submit(bound)

    def _pass_weight(self, weight: Weight, take: Take | None) -> Callable[[], None]:
        self._submit_before(weight)
        bound: WeightJobs | None = None
        if not self._calibration.is_expected(weight) and weight.identity in self._left:
            bound = self._bound(self._left[weight.identity])
        if bound is not None:
            del self._left[weight.identity]
        else:
            bound = WeightJobs(weight)
        if take is None:
            self._submit(bound)
            return lambda: None
        return self._executor.submit_and_take(self._chunks(bound), take)

    def _submit_before(self, weight: Weight) -> None:
        """Submit what the artifacts have in front of a weight and no text comes to: what is
        hashed behind the writers is so hardly ever held up.
        """
        if weight.identity not in self._left:
            return
        for identity, group in list(self._left.items()):
            if identity == weight.identity:
                return
            if self._calibration.is_expected(group.weight):
                continue
            bound = self._bound(group)
            if bound is not None:
                del self._left[identity]
                self._submit(bound)

    def _bound(self, group: WeightJobs) -> WeightJobs | None:
        """The group with the encodings that its jobs await, if they are known."""
        jobs: list[PlacedJob] = []
        for placed in group.jobs:
            job = self._calibration.bind(placed.job)
            if job is None:
                return None
            jobs.append(replace(placed, job=job))
        return replace(group, jobs=tuple(jobs))

    def _chunks(self, group: WeightJobs) -> Iterator[Chunk]:
        self._ahead.reach(group.weight)
        in_cells = self._calibration.multiplies(group.weight)
        return group.chunks(self._limit, in_cells=in_cells)

    def _submit(self, group: WeightJobs) -> None:
        if group.jobs:
            for chunk in self._chunks(group):
                self._executor.submit(chunk)


class _Output:
    """The files of an artifact, their hashes, and who else follows them."""

    def __init__(self, folder: Path, layout: Layout, opened: ExitStack, follow: Follow) -> None:
        self._folder = folder
        self.hashes = opened.enter_context(FollowingHashes(folder, layout))
        self._told = follow(folder, layout)

    def written(self, file: str, offset: int, size: int, runs: Runs | None) -> None:
        self.hashes.written(file, offset, size, runs)
        self._told(file, offset, size, runs)

    def write(self, file: str, offset: int, data: Bytes, runs: Runs | None) -> None:
        # Opened anew: a process may not hold hundreds of shards open.
        descriptor = os.open(self._folder / file, os.O_WRONLY)
        try:
            write_all(descriptor, data, offset, runs)
        finally:
            os.close(descriptor)


def _create(folder: Path, file: OutputFile) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.touch()
        with path.open("r+b") as stream:
            stream.truncate(file.size)
            for offset, data in file.segments:
                stream.seek(offset)
                stream.write(data)
    except OSError as error:
        raise _as_disk_full(error) from error


def _as_disk_full(error: OSError) -> Exception:
    if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return error
    return DiskFullError(
        "the disk is full",
        found=os.strerror(error.errno),
        remedy="free some space and run the same command again, or choose another --out",
    )
