"""What a run finds of an artifact on the way, gathered for its page."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.manifest import GateRecord, Manifest
from convert.reporting.data import (
    MachineData,
    ReportData,
    TensorData,
    TransferData,
    files_digest,
)

if TYPE_CHECKING:
    from convert.reporting.history import History
    from convert.weight_errors import WeightError
    from convert.weights import Weight
    from golden.result import GateResult


@dataclass
class Findings:
    """What the gate found of one artifact; empty until it has."""

    result: GateResult | None = None
    errors: Sequence[WeightError] = ()

    def take(self, result: GateResult, errors: Sequence[WeightError]) -> None:
        """Take in what was found, passed or not."""
        self.result, self.errors = result, errors

    def refused(self) -> GateRecord:
        """What a manifest would say of the gate if the artifact existed."""
        record = GateRecord(status="unverified")
        if self.result is None:
            return record
        values: dict[str, object] = {"result": self.result.to_json()}
        if self.errors and math.isfinite(self.errors[0].relative_rms):
            worst = self.errors[0]
            values |= {"worst_tensor": worst.name, "weight_error": worst.relative_rms}
        return record.model_copy(update=values)

    def data(
        self,
        manifest: Manifest,
        weights: Mapping[str, Weight],
        history: History,
        failures: Sequence[str],
    ) -> ReportData:
        """Everything for the page.

        Args:
            weights: The artifact's parameters as the checkpoint has them, by name.
            history: Of the run so far.
            failures: Why the artifact is refused, if it is.
        """
        errors = {error.name: error.relative_rms for error in self.errors}
        return ReportData(
            artifact=manifest.artifact,
            files_sha256=files_digest(manifest.files),
            failures=tuple(failures),
            details=self.result.details if self.result else None,
            tensors={
                name: TensorData(
                    source=weight.dtype.value,
                    source_bytes=weight.nbytes,
                    error=_figure(errors.get(name)),
                )
                for name, weight in weights.items()
            },
            stages=tuple((title, round(seconds, 3)) for title, seconds in history.stages),
            transfers=tuple(
                TransferData(
                    title=one.title,
                    total=one.total,
                    points=tuple((round(seconds, 4), done) for seconds, done in one.points),
                )
                for one in history.transfers
            ),
            seconds=round(history.seconds, 3),
            peak_memory=_peak_memory(),
            machine=_machine(),
        )


def _figure(error: float | None) -> float | None:
    return float(f"{error:.4g}") if error is not None and math.isfinite(error) else None


def _peak_memory() -> int | None:
    """Of this process, in bytes; programs that it ran are left out."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _machine() -> MachineData:
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    memory = 0
    with suppress(AttributeError, OSError, ValueError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    return MachineData(cpu=name, cores=cores or 1, memory=memory, system=system)
