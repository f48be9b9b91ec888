"""One artifact before it is made: bytes by encoding, files, texts to run, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convert.calibration_cost import TextRun, measured_rates
from convert.prediction.on_hardware import HardwarePlan
from convert.recipe import Artifact
from passes.quantize import TensorCoverage
from targets.deployment import DeploymentPlan

_OF_A_MIX = "  what follows is of all tensors in 8 bits; the mix takes less memory and time"


@dataclass(frozen=True)
class EncodedBytes:
    """All tensors of one role that are stored in one encoding.

    Args:
        role: ``embedding``, ``head``, ``linear`` or ``other``.
        encoding: Name.
        tensors: How many.
        elements: In all of them.
        nbytes: Of all of them.
    """

    role: str
    encoding: str
    tensors: int
    elements: int
    nbytes: int


@dataclass(frozen=True)
class FileSize:
    """A file of an artifact: its path below the artifact's folder, and its bytes."""

    path: str
    nbytes: int


@dataclass(frozen=True)
class ArtifactPlan:
    """One artifact before it is made.

    Args:
        artifact: Its description, the encoding resolved.
        weights: The bytes of its weights; files have headers and a tokenizer besides. Of a mix,
            which is found by measuring, what its tensors would have in 8 bits.
        deployment: What the devices it is for will hold; None if it names none.
        text_runs: What it costs to run a text through the model, where that is needed.
        hardware: What it will do on each machine that was asked for.
        files: Exact sizes of all files but the manifest, where they were laid out; empty where a
            run has to measure something first.
    """

    artifact: Artifact
    weights: tuple[EncodedBytes, ...]
    deployment: DeploymentPlan | None
    text_runs: tuple[TextRun, ...] = ()
    hardware: tuple[HardwarePlan, ...] = ()
    files: tuple[FileSize, ...] | None = None

    @property
    def nbytes(self) -> int | None:
        """Bytes of all weights together; the most that a mix may have, None if none is set."""
        if self.artifact.target_bits is not None:
            return int(self.artifact.target_bits * sum(one.elements for one in self.weights) / 8)
        if self.artifact.is_mix:
            return None
        return sum(one.nbytes for one in self.weights)

    def lines(self) -> list[str]:
        """The plan for a terminal."""
        rows = [
            (one.role, one.encoding, f"{one.tensors:,} tensors", f"{one.nbytes:,} bytes")
            for one in self._known
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        table = [
            "  ".join(["", *map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
            for row in rows
        ]
        runs = [f"  to {run.line(measured_rates())}" for run in self.text_runs]
        head = [f"{self.artifact.folder}: {self._size}", *table, *self._file_lines(), *runs]
        if self.hardware:
            mixed = [_OF_A_MIX] if self.artifact.is_mix else []
            machines = [line for each in self.hardware for line in each.lines()]
            return [*head, *mixed, *machines]
        return [*head, *(self.deployment.lines() if self.deployment else [])]

    @property
    def deployments(self) -> tuple[DeploymentPlan, ...]:
        """What devices hold: of the machines that were asked for, else of those it names itself."""
        if self.hardware:
            return tuple(each.memory for each in self.hardware)
        return (self.deployment,) if self.deployment else ()

    def _file_lines(self) -> list[str]:
        if self.files is None:
            return []
        if not self.files:
            return ["  files: their sizes follow from what a run measures"]
        total = sum(file.nbytes for file in self.files)
        listed = ", ".join(f"{file.path} {file.nbytes:,}" for file in self.files)
        return [f"  files: {total:,} bytes, without the manifest: {listed}"]

    @property
    def _known(self) -> tuple[EncodedBytes, ...]:
        """The weights whose encodings are known before anything is measured."""
        return () if self.artifact.is_mix else self.weights

    @property
    def _size(self) -> str:
        if self.nbytes is None:
            return "a mix of encodings and its bytes are found by measuring, in a run"
        if self.artifact.is_mix:
            return f"at most {self.nbytes:,} bytes of weights; a run finds the mix by measuring"
        return f"{self.nbytes:,} bytes of weights"

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "artifact": self.artifact.folder,
            "format": self.artifact.format,
            "bytes": self.nbytes,
            "weights": [
                {
                    "role": one.role,
                    "encoding": one.encoding,
                    "tensors": one.tensors,
                    "elements": one.elements,
                    "bytes": one.nbytes,
                }
                for one in self._known
            ],
            "deployment": self.deployment.to_json() if self.deployment else None,
            "calibration": [run.to_json(measured_rates()) for run in self.text_runs],
            "hardware": [each.to_json() for each in self.hardware],
            "files": {file.path: file.nbytes for file in self.files} if self.files else None,
        }


def by_encoding(tensors: Sequence[TensorCoverage]) -> tuple[EncodedBytes, ...]:
    """Sums by role and encoding, the largest first."""
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    for tensor in tensors:
        key = (tensor.role, tensor.encoding)
        count, elements, nbytes = sums.get(key, (0, 0, 0))
        sums[key] = (count + 1, elements + math.prod(tensor.shape), nbytes + tensor.nbytes)
    return tuple(
        EncodedBytes(role, encoding, *totals)
        for (role, encoding), totals in sorted(
            sums.items(), key=lambda item: (-item[1][2], item[0])
        )
    )
