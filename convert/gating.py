"""The gate of one artifact: run it, compare it, and say what failed by how much."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from convert.checkpoint import Checkpoint
from convert.errors import GateError
from convert.gate_lines import gate_lines, weight_line
from convert.graph import parameters
from convert.hashing import hash_file
from convert.manifest import GateRecord, SourceRecord
from convert.outcomes import TOKENIZER_THERE, Outcome, gate_checks, weight_check
from convert.preparation import Prepared
from convert.progress import Reporter
from convert.recipe import Artifact
from convert.reporting.findings import Findings
from convert.weight_errors import WeightError, weight_errors
from golden.gate import run_gate
from golden.result import Check, GateResult
from golden.thresholds import Thresholds, thresholds_for

_TENSORS_SHOWN = 5


def thresholds(artifact: Artifact) -> Thresholds:
    """The defaults of the artifact's encoding, with what the recipe sets instead: a largest KL
    divergence that a mix of encodings was chosen for, and the thresholds of its gate.
    """
    goal = {} if artifact.max_kld is None else {"mean_kld": artifact.max_kld}
    given = {**goal, **artifact.gate.given()}
    return thresholds_for(artifact.encoding or "").with_overrides(given)


def gate_artifact(
    item: Prepared,
    folder: Path,
    checkpoint: Checkpoint,
    record: SourceRecord,
    golden: Path,
    *,
    tokenizer: bool,
    threads: int,
    reporter: Reporter,
    findings: Findings | None = None,
) -> GateRecord:
    """Run a written artifact in its runtime and hold it against its original.

    Args:
        item: What was written.
        folder: Where it is.
        checkpoint: The original.
        record: Its hashes.
        golden: The recording of its outputs.
        tokenizer: Whether the artifact must carry a tokenizer.
        threads: Threads of the runtime.
        reporter: Told of the figures, passed or not.
        findings: Takes in everything that is found.

    Raises:
        GateError: A figure is beyond its threshold; all of them are named.
        RunnerCrashedError: The runtime refused the artifact or died.
    """
    limits = thresholds(item.artifact)
    judging = _Judging(item, reporter, findings or Findings())
    if item.loses_precision:
        checkpoint.bring_here()
    with reporter.stage(f"check {item.artifact.folder}"), judging.crashes():
        result = run_gate(
            folder,
            item.target.name,
            golden,
            limits,
            threads=threads,
            digest=record.digest,
            original=checkpoint.folder if item.loses_precision else None,
        )
        errors = _weight_errors(item, folder)
    for line in (*gate_lines(result), weight_line(errors[0], limits)):
        reporter.say(f"  {line}")
    failures = list(result.failures)
    if not errors[0].relative_rms <= limits.weight_error:
        failures.append(weight_line(errors[0], limits))
    lost = tokenizer and not result.tokenizer.checked
    if lost:
        failures.append(f"the tokenizer was not compared: {result.tokenizer.note}")
    judging.told(result, errors, limits, lost=failures[-1] if lost else None)
    if failures:
        raise _mismatch(item.artifact, failures, errors)
    return _passed(golden, result, errors[0])


def _passed(golden: Path, result: GateResult, worst: WeightError) -> GateRecord:
    return GateRecord(
        status="passed",
        golden=golden.name,
        golden_sha256=hash_file(golden.parent, golden).sha256,
        result=result.to_json(),
        worst_tensor=worst.name,
        weight_error=float(f"{worst.relative_rms:.6g}"),
    )


def _weight_errors(item: Prepared, folder: Path) -> tuple[WeightError, ...]:
    graph = {
        name: item.meant(parameter.weight) for name, parameter in parameters(item.model).items()
    }
    return weight_errors(item.target, folder, graph)


class _Judging:
    """Tells the reporter what was found of an artifact, and how long that took."""

    def __init__(self, item: Prepared, reporter: Reporter, findings: Findings) -> None:
        self._item, self._reporter, self._findings = item, reporter, findings
        self._started = time.perf_counter()

    def told(
        self,
        result: GateResult,
        errors: Sequence[WeightError],
        limits: Thresholds,
        *,
        lost: str | None,
    ) -> None:
        self._findings.take(result, errors)
        more = [weight_check(errors[0].name, errors[0].relative_rms, limits.weight_error)]
        if lost is not None:
            more.append(Check(TOKENIZER_THERE, False, lost))
        self._tell(gate_checks(result, more))

    @contextmanager
    def crashes(self) -> Iterator[None]:
        try:
            yield
        except GateError as error:
            self._tell((), error=str(error))
            raise

    def _tell(self, checks: tuple[Check, ...], error: str | None = None) -> None:
        seconds = time.perf_counter() - self._started
        name, nbytes = self._item.artifact.folder, self._item.nbytes
        self._reporter.judged(Outcome(name, checks, seconds, nbytes, error))


def _mismatch(
    artifact: Artifact, failures: Sequence[str], errors: Sequence[WeightError]
) -> GateError:
    worst = ", ".join(f"{one.name} {one.relative_rms:.2%}" for one in errors[:_TENSORS_SHOWN])
    return GateError(
        f"{artifact.folder} does not match the original",
        expected="figures within the thresholds of its encoding",
        found="; ".join([*failures, f"stored weights that differ most: {worst}"]),
        remedy="choose an encoding with more bits, or set thresholds in the recipe's gate",
    )
