"""A stream's chunks as tasks of Ray; the driver keeps the journal and tells what is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from convert.artifact import holder
from convert.chunk_worker import ChunkWorker, Output
from convert.chunks import Chunk, PlacedJob
from convert.fleet.agreement import of_this_process
from convert.fleet.cluster import RETRIES, Cluster
from convert.fleet.ray_errors import LostTaskError
from convert.fleet.remote_chunk import Done, Piece, Terms, encode, multiply_and_encode
from convert.fleet.task_memory import task_bytes
from convert.weights import Floats
from passes.calibration.products import Intake, PortableProduct
from passes.calibration.reading import Take

_IN_FLIGHT = 3
"""Tasks for each core of the cluster: one in work, others on their way to it or back."""

_TOGETHER = 32 << 20
"""Bytes of the source in a task: to hand one out takes as long as to encode a megabyte or two."""


@dataclass
class Tally:
    """What was done by whom.

    Args:
        sent: Chunks that were given to workers.
        kept: Chunks that an earlier run had done.
        workers: Chunks by worker.
    """

    sent: int = 0
    kept: int = 0
    workers: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """The same as a sentence."""
        machines = {name.rpartition(":")[0] for name in self.workers}
        return (
            f"{self.sent} chunks done by {len(self.workers)} workers on {len(machines)} machines, "
            f"{self.kept} were there already"
        )


@dataclass
class _Task:
    """Chunks in work: what their next results are for, in order."""

    results: list[Any]
    next_steps: list[Callable[[Any], None]]
    again: Callable[[], list[Any]] | None = None
    """Has it done once more, for one that Ray itself does not."""
    retries: int = RETRIES
    taken_in: int = 0

    def take_in(self, value: object) -> None:
        """What the next result is."""
        self.results.pop(0)
        self.taken_in += 1
        self.next_steps.pop(0)(value)

    def retry(self) -> bool:
        """Begin anew after a loss, if that is possible; what was taken in is passed over."""
        if self.again is None or not self.retries:
            return False
        self.retries -= 1
        self.results = self.again()
        self.next_steps = [_pass_over] * self.taken_in + self.next_steps
        self.taken_in = 0
        return True


def _pass_over(value: object) -> None:
    pass


class RayExecutor:
    """Does chunks as tasks.

    Args:
        cluster: Where.
        say: Told, at the end, what was done by whom.
        outputs: By artifact's folder.
        done: Told of the source bytes of chunks that are done.
        abandon: Called on an error.
    """

    def __init__(
        self,
        cluster: Cluster,
        say: Callable[[str], None],
        outputs: Mapping[Path, Output],
        done: Callable[[int], None],
        abandon: Callable[[], None],
    ) -> None:
        self._cluster, self._say, self._outputs = cluster, say, outputs
        self._done, self._abandon = done, abandon
        self._here = ChunkWorker(outputs)
        terms = Terms(of_this_process(), {folder: holder(folder) for folder in outputs})
        self._terms = cluster.put(terms)
        self._most = _IN_FLIGHT * cluster.cores
        self._gathered: list[Chunk] = []
        self._working: dict[Any, _Task] = {}
        self._tally = Tally()
        self._memory = 0

    def submit(self, chunk: Chunk) -> None:
        """See `convert.executors.Executor`."""
        missing = self._missing(chunk)
        if not missing:
            self._tally.kept += 1
            self._done(chunk.nbytes)
            return
        self._gathered.append(chunk)
        if sum(each.nbytes for each in self._gathered) >= _TOGETHER:
            self._send_gathered()

    def submit_and_take(self, chunks: Iterable[Chunk], take: Take) -> Callable[[], None]:
        """See `convert.executors.Executor`."""
        product = take.product if isinstance(take, Intake) else None
        if product is None:
            self._take_here(chunks, take)
            return lambda: None
        laid_down, left = self._cluster.put(product.portable()), set[int]()
        for chunk in chunks:
            left.add(chunk.start)
            self._submit_with(chunk, product, laid_down, left)

        def wait() -> None:
            while left:
                self._collect()

        return wait

    def finish(self) -> None:
        """See `convert.executors.Executor`."""
        self._send_gathered()
        while self._working:
            self._collect()

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            if self._working:
                self._abandon()
                self._cluster.cancel(list(self._working))
                self._working.clear()
            self._say(f"fleet: {self._tally.line()}")

    def _room(self, memory: int) -> int:
        """The memory of a task, which the cluster has."""
        if memory > self._memory:
            self._cluster.require_room(memory)
            self._memory = memory
        return memory

    def _send_gathered(self) -> None:
        chunks, self._gathered = self._gathered, []
        if chunks:
            own = tuple(chunk.alone(chunk.missing) for chunk in chunks)
            memory = self._room(task_bytes(*own))
            result = self._cluster.submit(encode, self._terms, own, memory=memory)
            self._begin(_Task([result], [self._finished(*chunks)]))

    def _submit_with(
        self, chunk: Chunk, product: PortableProduct, laid_down: object, left: set[int]
    ) -> None:
        def taken(computed: Floats) -> None:
            product.put(chunk.start, computed)
            left.remove(chunk.start)

        own = chunk.alone(self._missing(chunk))
        given = (self._terms, laid_down, own)
        memory = self._room(task_bytes(own) + product.nbytes)

        def submitted() -> list[Any]:
            result = self._cluster.submit(multiply_and_encode, *given, memory=memory, results=2)
            return list(result) if isinstance(result, list) else [result, result]

        self._begin(_Task(submitted(), [taken, self._finished(chunk)], submitted))

    def _missing(self, chunk: Chunk) -> Sequence[PlacedJob]:
        """What is to be done of a chunk; of the rest the artifact's files are told."""
        missing = chunk.missing
        for placed in chunk.jobs:
            if placed not in missing:
                for extent in placed.extents(chunk.start, chunk.stop):
                    self._outputs[placed.folder].written(*extent)
        return missing

    def _begin(self, task: _Task) -> None:
        self._working[task.results[0]] = task
        while len(self._working) > self._most:
            self._collect()

    def _collect(self) -> None:
        """Take in what is ready, perhaps nothing yet."""
        for result in self._cluster.ready(list(self._working)):
            task = self._working.pop(result)
            try:
                task.take_in(self._cluster.value(result))
            except LostTaskError:
                if not task.retry():
                    raise
            if task.results:
                self._working[task.results[0]] = task

    def _finished(self, *chunks: Chunk) -> Callable[[Done], None]:
        journals = {placed.folder: placed.journal for chunk in chunks for placed in chunk.jobs}

        def finished(done: Done) -> None:
            for piece in done.pieces:
                self._take_in(piece)
                journal = journals[piece.folder]
                if journal is not None:
                    journal.record_sum(
                        piece.file, piece.offset, piece.size, piece.checksum, piece.runs
                    )
                self._outputs[piece.folder].written(
                    piece.file, piece.offset, piece.size, piece.runs
                )
            # What was there already is only multiplied with the text again.
            wanted = sum(bool(chunk.jobs) for chunk in chunks)
            made = wanted if done.pieces else 0
            self._tally.sent += made
            self._tally.kept += wanted - made
            self._tally.workers[done.worker] += made
            self._done(sum(chunk.nbytes for chunk in chunks if chunk.jobs))

        return finished

    def _take_in(self, piece: Piece) -> None:
        if piece.data is not None:
            self._outputs[piece.folder].write(piece.file, piece.offset, piece.data, piece.runs)

    def _take_here(self, chunks: Iterable[Chunk], take: Take) -> None:
        """What has to see weights is done by the driver."""
        for chunk in chunks:
            self._done(self._here.multiply_and_process(chunk, take, lambda: None))
