"""Batches of a calibration text as tasks for workers; each one's state is kept until all are done.

Who runs a batch reads the weights itself. A driver that is killed and started again finds what was
kept, and has only the other batches run.
"""

from __future__ import annotations

import glob
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_cost import values_memory
from convert.checkpoint import Checkpoint
from convert.errors import MissingFileError, UnavailableWorkersError
from convert.progress import Reporter
from convert.weights import Weight
from convert.workers import ThisProcess, Workers
from passes.calibration.batch_runs import Batch, State, run_batch, separate_batches, state_of
from passes.calibration.blas import arithmetic, threads, threads_each
from passes.calibration.execution import bytes_to_read
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.calibration.reading import BLOCK_BYTES
from passes.calibration.snapshots import Arrays, Snapshots, identity_of

Watch = Callable[[ir.Model], Sequence[Observer]]
"""Makes what watches a batch; can be pickled."""

_BLOCKS_HELD = 3


@dataclass(frozen=True)
class BatchRun:
    """Runs a batch: what a worker is given.

    Args:
        raw_config: config.json as it is.
        config: The same, normalized.
        weights: Of the checkpoint, which can be pickled.
        watch: Makes what watches the batch.
        threads: That numpy is to multiply on: how a product is shared decides its last bits.
        arithmetic: Of the machine whose bits are wanted.
    """

    raw_config: Mapping[str, Any]
    config: DecoderConfig
    weights: Mapping[str, Weight]
    watch: Watch
    threads: int | None
    arithmetic: str

    def __call__(self, batch: Batch) -> State | None:
        """What is seen of a batch; None if this machine would compute other bits.

        Raises:
            UnavailableWorkersError: This machine does not see the checkpoint.
            TricastError: As `here`.
        """
        if arithmetic() != self.arithmetic:
            return None
        try:
            return self.here(batch)
        except FileNotFoundError as error:
            raise UnavailableWorkersError(
                f"a worker on {socket.gethostname()} does not see the checkpoint",
                expected="every file of the checkpoint at the same path on all machines",
                found=str(error),
                remedy="put the checkpoint into object storage, or into a folder that all "
                "machines share",
            ) from error

    def here(self, batch: Batch) -> State:
        """What is seen of a batch, by this process.

        Raises:
            TricastError: As `passes.calibration.execution.run` does.
        """
        model = architecture_of(self.raw_config).build(self.config, self.weights)
        observers = self.watch(model)
        with threads_each(self.threads):
            run_batch(model, batch, observers)
        return state_of(observers)


class BatchRuns:
    """The batches of a text, each a task.

    Args:
        workers: Who runs them.
        checkpoint: The model.
        config: That of the checkpoint, normalized.
        watch: Makes what watches a batch.
        held: Bytes that what watches comes to hold.
    """

    def __init__(
        self,
        workers: Workers,
        checkpoint: Checkpoint,
        config: DecoderConfig,
        watch: Watch,
        held: int = 0,
    ) -> None:
        self._workers, self._checkpoint, self._held = workers, checkpoint, held
        self._run = BatchRun(
            dict(checkpoint.config),
            config,
            dict(checkpoint.weights),
            watch,
            threads(),
            arithmetic(),
        )

    def apart(self, model: ir.Model, texts: Sequence[Text]) -> tuple[Batch, ...]:
        """The batches, if others are to run them: this process runs all texts in one go, and goes
        on from a snapshot. None of them otherwise.
        """
        if isinstance(self._workers, ThisProcess):
            return ()
        found = separate_batches(model, texts)
        return found if len(found) > 1 else ()

    def states(
        self,
        model: ir.Model,
        batches: Sequence[Batch],
        path: Path,
        title: str,
        reporter: Reporter,
    ) -> Mapping[int, Arrays]:
        """What was seen of each batch, by its number: read from a file when it is asked for.

        Args:
            model: The graph.
            batches: See `apart`.
            path: Of what is made of them all; states are kept beside it.
            title: Of the work, for the user.
            reporter: Told of batches that an earlier run has done.

        Raises:
            TricastError: Why a batch cannot be run.
        """
        kept = self._places(model, batches, path)
        left = [each for each in batches if kept[each.number].load() is None]
        if len(left) < len(batches):
            done = len(batches) - len(left)
            reporter.say(f"calibrate: {done} of {len(batches)} batches are there already")
        if self._checkpoint.downloads is not None:
            self._checkpoint.bring_here()
        each_reads = bytes_to_read(model)
        memory = self._held + values_memory(self._run.config, max(each.tokens for each in batches))
        with reporter.transfer(title, each_reads * len(left)) as advance:
            found = self._workers.map(self._run, left, memory=memory + _BLOCKS_HELD * BLOCK_BYTES)
            for batch, state in zip(left, found, strict=True):
                kept[batch.number].keep(
                    self._elsewhere(batch, reporter) if state is None else state
                )
                advance(each_reads)
        return {number: _there(place, path) for number, place in kept.items()}

    def _elsewhere(self, batch: Batch, reporter: Reporter) -> State:
        reporter.say(
            f"calibrate: batch {batch.number} is run here: the worker that it was given to has "
            "another kind of processor, or another numpy, and would compute other bits"
        )
        return self._run.here(batch)

    def _places(
        self, model: ir.Model, batches: Sequence[Batch], path: Path
    ) -> Mapping[int, Snapshots]:
        texts = [each.texts for each in batches]
        identity = identity_of(model, path.name, self._run.threads, self._run.arithmetic, texts)
        return {
            each.number: Snapshots(
                path.with_name(f"{_beginning(path)}{each.number}"), f"{identity} {each.number}"
            )
            for each in batches
        }


def forget_batches(path: Path) -> None:
    """Remove the states of batches: what is made of them all is there, or to be begun anew."""
    for each in path.parent.glob(f"{glob.escape(_beginning(path))}*"):
        each.unlink(missing_ok=True)


def _beginning(path: Path) -> str:
    return f".{path.stem}.batch-"


def _there(place: Snapshots, path: Path) -> Arrays:
    found = place.load()
    if found is None:
        raise MissingFileError(
            f"what was seen of a batch of the calibration text is gone from {path.parent}",
            expected=f"files {_beginning(path)}*, until {path.name} is made of them",
            remedy="run the same command again",
        )
    return found
