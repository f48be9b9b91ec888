"""A stream's chunks as tasks of Ray; the driver keeps the journal and tells what is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from convert.artifact import holder
from convert.chunk_worker import ChunkWorker, Output
from convert.chunks import Chunk, PlacedJob
from convert.fleet.actors import Actor, Actors
from convert.fleet.agreement import of_this_process
from convert.fleet.cluster import RETRIES, Cluster
from convert.fleet.ray_errors import LostTaskError
from convert.fleet.remote_chunk import Done, Piece, Terms
from convert.fleet.task_memory import task_bytes
from convert.weights import Floats
from passes.calibration.products import Intake, PortableProduct
from passes.calibration.reading import Take

_OVERTAKING = 8
"""Weights that may be handed out before chunks that wait for others: what is hashed in the order of
a file must not wait for them long.
"""

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


@dataclass(frozen=True)
class _Call:
    """Of a method of `convert.fleet.worker_process.WorkerProcess`, and what its result is for."""

    method: str
    arguments: tuple[object, ...]
    take_in: Callable[[Any], None]


@dataclass
class _Task:
    """Chunks on their way.

    Args:
        calls: One after another, of the same process.
        memory: Bytes that it needs.
        retries: How often it may yet be lost.
    """

    calls: Sequence[_Call]
    memory: int
    retries: int = RETRIES
    answered: int = 0
    taken_in: int = 0
    actor: Actor | None = None

    def begin(self, actors: Actors) -> Any:
        """Give it to a process; what was taken in before it was lost is passed over."""
        self.actor, self.answered = actors.least_busy(), 0
        self.actor.tasks += 1
        return self.proceed(actors)

    def proceed(self, actors: Actors) -> Any:
        """Make the next call."""
        assert self.actor is not None
        call = self.calls[self.answered]
        return actors.ask(self.actor, call.method, *call.arguments)

    def take_in(self, value: object) -> bool:
        """What the call has returned; whether it was the last one."""
        if self.answered == self.taken_in:
            self.calls[self.answered].take_in(value)
            self.taken_in += 1
        self.answered += 1
        return self.answered == len(self.calls)


class RayExecutor:
    """Does chunks as tasks.

    Args:
        cluster: Where.
        actors: Who does them.
        say: Told, at the end, what was done by whom.
        outputs: By artifact's folder.
        done: Told of the source bytes of chunks that are done.
        abandon: Called on an error.
    """

    def __init__(
        self,
        cluster: Cluster,
        actors: Actors,
        say: Callable[[str], None],
        outputs: Mapping[Path, Output],
        done: Callable[[int], None],
        abandon: Callable[[], None],
    ) -> None:
        self._cluster, self._actors, self._say, self._outputs = cluster, actors, say, outputs
        self._done, self._abandon = done, abandon
        self._here = ChunkWorker(outputs)
        self._terms = Terms(of_this_process(), {folder: holder(folder) for folder in outputs})
        self._gathered: list[Chunk] = []
        self._overtaken = 0
        self._working: dict[Any, _Task] = {}
        self._lost: list[_Task] = []
        self._numbers = count()
        self._laid_down: tuple[PortableProduct, object] | None = None
        self._tally = Tally()
        actors.open()

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
        self._let_pass()
        given, left = list(chunks), set[int]()
        # Each process is given a part of the weight, since what comes after it waits for it.
        most = max(1, _TOGETHER // max(chunk.nbytes for chunk in given))
        together = min(-(-len(given) // self._actors.threads), most)
        for first in range(0, len(given), together):
            left.add(first)
            done = partial(left.remove, first)
            self._submit_with(given[first : first + together], product, done)

        def wait() -> None:
            while left:
                self._collect()

        return wait

    def finish(self) -> None:
        """See `convert.executors.Executor`."""
        self._send_gathered()
        while self._working or self._lost:
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
            if self._working or self._lost:
                self._abandon()
                self._actors.close()
                self._working.clear()
            self._say(f"fleet: {self._tally.line()}")

    def _let_pass(self) -> None:
        self._overtaken += bool(self._gathered)
        if self._overtaken > _OVERTAKING:
            self._send_gathered()

    def _send_gathered(self) -> None:
        chunks, self._gathered, self._overtaken = self._gathered, [], 0
        if chunks:
            own = tuple(chunk.alone(chunk.missing) for chunk in chunks)
            call = _Call("encode", (self._terms, own), self._finished(*chunks))
            self._begin(_Task([call], task_bytes(*own)))

    def _submit_with(
        self, chunks: Sequence[Chunk], product: PortableProduct, done: Callable[[], None]
    ) -> None:
        def taken(computed: Floats) -> None:
            product.put(chunks[0].start, computed)
            done()

        own = tuple(chunk.alone(self._missing(chunk)) for chunk in chunks)
        number = next(self._numbers)
        given = (number, self._terms, self._lay_down(product), own)
        calls = [
            _Call("multiply", given, taken),
            _Call("encode_multiplied", (number,), self._finished(*chunks)),
        ]
        memory = task_bytes(*own) + sum(chunk.nbytes for chunk in own) + product.nbytes
        self._begin(_Task(calls, memory))

    def _lay_down(self, product: PortableProduct) -> object:
        """Where workers find the inputs; several weights in a row may have the same."""
        if self._laid_down is None or not product.has_inputs_of(self._laid_down[0]):
            portable = product.portable()
            self._laid_down = portable, self._cluster.put(portable)
        return self._laid_down[1]

    def _missing(self, chunk: Chunk) -> Sequence[PlacedJob]:
        """What is to be done of a chunk; of the rest the artifact's files are told."""
        missing = chunk.missing
        for placed in chunk.jobs:
            if placed not in missing:
                for extent in placed.extents(chunk.start, chunk.stop):
                    self._outputs[placed.folder].written(*extent)
        return missing

    def _begin(self, task: _Task) -> None:
        while not self._actors.has_room(task.memory):
            self._collect()
        self._working[task.begin(self._actors)] = task

    def _collect(self) -> None:
        """Take in what is ready, perhaps nothing yet."""
        for result in self._actors.ready(list(self._working)):
            task = self._working.pop(result)
            assert task.actor is not None
            try:
                is_last = task.take_in(self._cluster.value(result))
            except LostTaskError:
                if not task.retries:
                    raise
                self._actors.lost(task.actor)
                self._lost.append(replace(task, retries=task.retries - 1))
                continue
            if is_last:
                task.actor.tasks -= 1
            else:
                self._working[task.proceed(self._actors)] = task
        while self._lost and self._actors.has_room(self._lost[0].memory):
            task = self._lost.pop(0)
            self._working[task.begin(self._actors)] = task

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
