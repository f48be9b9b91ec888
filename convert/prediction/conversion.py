"""What a run costs on this machine before it begins: memory, disk and time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.architectures.base import DecoderConfig
from convert.calibration_cost import TextRun, measured_rates
from convert.hardware.this_machine import (
    Speeds,
    is_beside_the_cache,
    this_machine,
    writing_speed,
)
from convert.memory import chunk_bytes, default_budget
from convert.planned_artifact import ArtifactPlan
from convert.prediction.rates import REFERENCE_CONVERSIONS, nanoseconds
from convert.prediction.units import readable_bytes, readable_seconds
from convert.recipe import Recipe
from convert.weighting import SAMPLE_TOKENS
from golden.memory import OVERHEAD, available_memory
from passes.calibration.reading import BLOCK_BYTES
from targets import target
from targets.deployment import LayoutCost

_START = 2.4
"""Processor seconds of a run with next to nothing to convert, on the machine of the rates."""

_FIRST_CHUNKS, _FURTHER_CHUNKS, _MULTIPLIED_CHUNKS = 1.5, 2.0, 4.0
"""What a thread holds, in chunks of source: for one artifact, for each further one, and for a text
that is multiplied with them; measured."""

_TEXT_BLOCKS = 3 * BLOCK_BYTES
"""Of blocks of weights that a text has read by itself, which `TextRun.memory` counts."""

PASSAGE_NANOSECONDS = 1.5
"""Processor time for which a text of `SAMPLE_TOKENS` is multiplied with a weight."""

_GATE_START, _GATE_TOKENS = 8.0, 1200
"""Seconds to start a runtime and load libraries, and tokens of the prompts, twice over."""

_GATE_LIBRARIES = 600e6


@dataclass(frozen=True)
class ConversionCost:
    """What a run of all artifacts takes here.

    Args:
        memory: Bytes at the peak of the conversion.
        disk: Bytes of the artifacts, and of what is kept for an interrupted run.
        seconds: Of the conversion.
        checking_memory: Bytes at the peak of the comparison with the original.
        checking_seconds: Of all comparisons.
        speeds: What this machine does.
        free_memory: Bytes that are free now.
        free_disk: Bytes that are free in the folder that a run would write to.
        not_estimated: Work that comes on top.
    """

    memory: int
    disk: int
    seconds: float
    checking_memory: int
    checking_seconds: float
    speeds: Speeds
    free_memory: int
    free_disk: int
    not_estimated: tuple[str, ...] = ()

    @property
    def lacks(self) -> tuple[str, ...]:
        """What this machine has too little of, in words."""
        found = []
        if self.memory > self.free_memory:
            found.append(
                f"memory: {readable_bytes(self.memory)} for the conversion, "
                f"{readable_bytes(self.free_memory)} are free"
            )
        if self.disk > self.free_disk:
            found.append(
                f"disk: {readable_bytes(self.disk)}, {readable_bytes(self.free_disk)} are free"
            )
        return tuple(found)

    def lines(self) -> list[str]:
        """The cost for a terminal."""
        least = "at least " if self.not_estimated else ""
        more = f", and {', '.join(self.not_estimated)}" if self.not_estimated else ""
        seconds, checking = map(readable_seconds, (self.seconds, self.checking_seconds))
        lines = [
            f"A run here ({self.speeds.cores} cores): {least}{seconds}{more}; "
            f"{readable_bytes(self.memory)} of memory, {readable_bytes(self.disk)} of disk",
            f"  then the checks against the original: about {checking}, "
            f"{readable_bytes(self.checking_memory)} of memory",
        ]
        if self.checking_memory > self.free_memory:
            lines.append(
                "  the original does not fit into memory as a whole: it is run layer by layer, or "
                "recorded elsewhere (--golden)"
            )
        return [*lines, *(f"  TOO LITTLE {lack}" for lack in self.lacks)]

    def to_json(self) -> dict[str, Any]:
        """The cost as plain values."""
        return {
            "memory": self.memory,
            "disk": self.disk,
            "seconds": round(self.seconds, 2),
            "checking_memory": self.checking_memory,
            "checking_seconds": round(self.checking_seconds, 1),
            "cores": self.speeds.cores,
            "free_memory": self.free_memory,
            "free_disk": self.free_disk,
            "fits": not self.lacks,
            "not_estimated": list(self.not_estimated),
        }


def conversion_cost(
    recipe: Recipe,
    artifacts: Sequence[ArtifactPlan],
    config: DecoderConfig,
    source_bytes: int,
    *,
    out: Path,
) -> ConversionCost:
    """Add up what a run costs.

    Args:
        artifacts: With their encodings and text runs.
        source_bytes: Of the checkpoint's weights.
        out: Folder that the run would write to.
    """
    speeds, folder = this_machine(), _existing(out)
    writing = speeds.writing if is_beside_the_cache(folder) else writing_speed(folder)
    parameters = source_bytes // 2
    runs = tuple(dict.fromkeys(run for one in artifacts for run in one.text_runs))
    layouts = [_layout(one, config) for one in artifacts]
    outputs = [output_bytes(one) for one in artifacts]
    return ConversionCost(
        memory=conversion_memory(layouts, runs, speeds.cores),
        disk=sum(outputs) + sum(run.disk for run in runs),
        seconds=_seconds(artifacts, layouts, runs, speeds, sum(outputs) / writing),
        checking_memory=int(max(4 * parameters + OVERHEAD, *(_checked(size) for size in outputs))),
        checking_seconds=_checking(parameters, len(artifacts), speeds),
        speeds=speeds,
        free_memory=available_memory(),
        free_disk=shutil.disk_usage(folder).free,
        not_estimated=tuple(dict.fromkeys(run.more for run in runs if run.more)),
    )


def conversion_memory(layouts: Sequence[LayoutCost], runs: Sequence[TextRun], threads: int) -> int:
    """Bytes at the peak of a conversion.

    Texts that read the weights themselves run before anything is converted; one that runs on the
    same read holds its values beside the chunks, each of which is multiplied with as float32.

    Args:
        layouts: What laying out takes, for each artifact.
        runs: Texts that run through the model.
        threads: Chunks in work at once.
    """
    libraries = max(cost.memory for cost in layouts)
    chunk = chunk_bytes(max(default_budget(), 64 << 20), threads=threads, artifacts=len(layouts))
    held = _FIRST_CHUNKS + _FURTHER_CHUNKS * (len(layouts) - 1)
    beside = [run.memory - _TEXT_BLOCKS for run in runs if not run.own_read]
    multiplied = _MULTIPLIED_CHUNKS if beside else 0
    chunks = int(threads * chunk * (held + multiplied)) + max(beside, default=0)
    before = max((run.memory for run in runs if run.own_read), default=0)
    return libraries + max(chunks, before)


def _layout(one: ArtifactPlan, config: DecoderConfig) -> LayoutCost:
    cost = target(one.artifact.format).layout_cost(config, one.artifact.options)
    return cost.again if one.files else cost  # it was just laid out


def output_bytes(one: ArtifactPlan) -> int:
    """Of its files, or of its weights where they were not laid out."""
    if one.files:
        return sum(file.nbytes for file in one.files)
    return one.nbytes or sum(each.nbytes for each in one.weights)


def _seconds(
    artifacts: Sequence[ArtifactPlan],
    layouts: Sequence[LayoutCost],
    runs: Sequence[TextRun],
    speeds: Speeds,
    writing: float,
) -> float:
    """Start, texts of their own, then what the cores or the disk take, whichever is more.

    Args:
        writing: Seconds that the disk takes.
    """
    slower = REFERENCE_CONVERSIONS / speeds.conversions
    laying_out = sum(cost.seconds for cost in layouts)
    work = slower * sum(map(encoding_seconds, artifacts)) / speeds.cores
    texts = sum(run.seconds(measured_rates()) for run in runs if run.own_read)
    return slower * (_START + laying_out) + texts + max(work, writing)


def encoding_seconds(one: ArtifactPlan) -> float:
    """Processor seconds to encode an artifact on the machine of the rates."""
    beside = next((run for run in one.text_runs if not run.own_read), None)
    longer = max(0.0, beside.tokens / SAMPLE_TOKENS - 1) if beside else 0.0
    total = 0.0
    for part in one.weights:
        plain, weighted = nanoseconds(part.encoding)
        total += part.elements * 1e-9 * (weighted if beside else plain)
        # The rates have the passage of the shipped text in them, a longer one takes more.
        total += part.elements * 1e-9 * longer * PASSAGE_NANOSECONDS
    return total


def _checked(nbytes: int) -> float:
    return nbytes + _GATE_LIBRARIES


def _checking(parameters: int, artifacts: int, speeds: Speeds) -> float:
    """The original and each artifact once over the prompts, and once token by token."""
    once = 2 * parameters * _GATE_TOKENS / speeds.operations
    return (1 + artifacts) * (_GATE_START + once)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
