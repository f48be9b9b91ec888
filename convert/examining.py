"""What the gate of an artifact has to compute, as a task of its own: any worker can do it.

A worker must see the artifact, the recording and the checkpoint where this process does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.errors import GateError
from convert.graph import parameters
from convert.preparation import Prepared
from convert.weight_errors import WeightError, weight_errors
from convert.weights import Weight
from golden.gate import run_gate
from golden.memory import OVERHEAD, available_memory
from golden.result import GateResult
from golden.thresholds import Thresholds
from targets import target as target_named


@dataclass(frozen=True)
class GateTask:
    """An artifact to run and to compare.

    Args:
        artifact: Its folder.
        target: That it was made for, by name.
        golden: The recording of its original.
        limits: What figures are held against.
        threads: Threads of the runtime.
        digest: Of the whole checkpoint.
        original: Folder of the checkpoint, to be run with the artifact's stored weights; None to
            leave that out.
        weights: That the artifact should store, by name.
        memory: Bytes that it takes, about.
    """

    artifact: Path
    target: str
    golden: Path
    limits: Thresholds
    threads: int
    digest: str
    original: Path | None
    weights: Mapping[str, Weight]
    memory: int


@dataclass(frozen=True)
class Examined:
    """What was found of an artifact.

    Args:
        result: Of running it.
        errors: Of its stored weights, worst first.
        seconds: How long that took.
    """

    result: GateResult
    errors: tuple[WeightError, ...]
    seconds: float


@dataclass(frozen=True)
class Refused:
    """An artifact that could not be compared at all.

    Args:
        error: Why.
        seconds: How long it took to find that out.
    """

    error: GateError
    seconds: float


def gate_task(
    item: Prepared,
    folder: Path,
    original: Path,
    golden: Path,
    limits: Thresholds,
    *,
    digest: str,
    threads: int,
) -> GateTask:
    """What has to be computed for the gate of a written artifact.

    Args:
        item: What was written.
        folder: Where it is.
        original: Folder of the checkpoint.
        golden: The recording of its outputs.
        limits: What figures are held against.
        digest: Of the whole checkpoint.
        threads: Threads of the runtime.
    """
    weights = {name: held.weight for name, held in parameters(item.model).items()}
    in_float32 = 4 * sum(weight.rows * weight.columns for weight in weights.values())
    # An original that has no room is not run, see `golden.gate.run_gate`.
    runs_original = item.loses_precision and in_float32 + OVERHEAD <= available_memory()
    return GateTask(
        artifact=folder,
        target=item.target.name,
        golden=golden,
        limits=limits,
        threads=threads,
        digest=digest,
        original=original if item.loses_precision else None,
        weights={name: item.meant(weight) for name, weight in weights.items()},
        memory=item.nbytes + OVERHEAD + (in_float32 if runs_original else 0),
    )


def examine(task: GateTask) -> Examined | Refused:
    """Run an artifact in its runtime, and read the weights that it stores.

    Returns:
        What was found, whether it is within the limits or not. That the artifact's runtime refused
        it or died is a finding too, so that others are examined nevertheless.

    Raises:
        TricastError: What has nothing to do with the artifact.
    """
    started = time.perf_counter()
    try:
        result = run_gate(
            task.artifact,
            task.target,
            task.golden,
            task.limits,
            threads=task.threads,
            digest=task.digest,
            original=task.original,
        )
        errors = weight_errors(target_named(task.target), task.artifact, task.weights)
    except GateError as error:
        return Refused(error, time.perf_counter() - started)
    return Examined(result, errors, time.perf_counter() - started)
