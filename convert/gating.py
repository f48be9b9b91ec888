"""The gate of one artifact: run it, compare it, and say what failed by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from convert.checkpoint import Checkpoint
from convert.errors import GateError
from convert.examining import Examined, GateTask, Refused, examine, gate_task
from convert.gate_lines import gate_lines, weight_line
from convert.hashing import hash_file
from convert.manifest import GateRecord, SourceRecord
from convert.outcomes import TOKENIZER_THERE, Outcome, gate_checks, weight_check
from convert.preparation import Prepared
from convert.progress import Reporter
from convert.recipe import Artifact
from convert.reporting.findings import Findings
from convert.weight_errors import WeightError
from convert.workers import Workers
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
    examined: Callable[[], Examined | Refused] | None = None,
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
        examined: Gives what somebody else finds of the artifact; None to examine it here.

    Raises:
        GateError: A figure is beyond its threshold; all of them are named.
        RunnerCrashedError: The runtime refused the artifact or died.
    """
    limits = thresholds(item.artifact)
    judging = _Judging(item, reporter, findings or Findings())
    if examined is None:
        task = task_of(item, folder, checkpoint, record, golden, threads=threads)
        examined = partial(examine, task)
    with reporter.stage(f"check {item.artifact.folder}"):
        found = examined()
        if isinstance(found, Refused):
            judging.refused(found)
            raise found.error
    result, errors = found.result, found.errors
    for line in (*gate_lines(result), weight_line(errors[0], limits)):
        reporter.say(f"  {line}")
    failures = list(result.failures)
    if not errors[0].relative_rms <= limits.weight_error:
        failures.append(weight_line(errors[0], limits))
    lost = tokenizer and not result.tokenizer.checked
    if lost:
        failures.append(f"the tokenizer was not compared: {result.tokenizer.note}")
    judging.told(found, limits, lost=failures[-1] if lost else None)
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


def task_of(
    item: Prepared,
    folder: Path,
    checkpoint: Checkpoint,
    record: SourceRecord,
    golden: Path,
    *,
    threads: int,
) -> GateTask:
    """What `gate_artifact` needs to be examined, with the whole checkpoint here if it needs that.

    Raises:
        TricastError: The checkpoint cannot be had.
    """
    if item.loses_precision:
        checkpoint.bring_here()
    limits, digest = thresholds(item.artifact), record.digest
    return gate_task(
        item, folder, checkpoint.folder, golden, limits, digest=digest, threads=threads
    )


class _Judging:
    """Tells the reporter what was found of an artifact, and how long that took."""

    def __init__(self, item: Prepared, reporter: Reporter, findings: Findings) -> None:
        self._item, self._reporter, self._findings = item, reporter, findings

    def told(self, found: Examined, limits: Thresholds, *, lost: str | None) -> None:
        result, errors = found.result, found.errors
        self._findings.take(result, errors)
        more = [weight_check(errors[0].name, errors[0].relative_rms, limits.weight_error)]
        if lost is not None:
            more.append(Check(TOKENIZER_THERE, False, lost))
        self._tell(gate_checks(result, more), found.seconds)

    def refused(self, found: Refused) -> None:
        self._tell((), found.seconds, error=str(found.error))

    def _tell(self, checks: tuple[Check, ...], seconds: float, error: str | None = None) -> None:
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


def examinations(
    workers: Workers,
    written: Sequence[tuple[Prepared, Path]],
    checkpoint: Checkpoint,
    record: SourceRecord,
    golden: Path | None,
    *,
    threads: int,
) -> Iterator[Examined | Refused]:
    """What is found of each artifact, in order: each is a task for one of the workers.

    Args:
        workers: Must see the artifacts, the recording and the checkpoint where this process does.
        written: Artifacts and the folders that they are in.
        checkpoint: The original.
        record: Its hashes.
        golden: The recording of its outputs; None to find nothing.
        threads: Threads of the runtime.

    Raises:
        TricastError: What has nothing to do with one artifact.
    """
    if golden is None:
        return iter(())
    tasks = [
        task_of(item, folder, checkpoint, record, golden, threads=threads)
        for item, folder in written
    ]
    return workers.map(examine, tasks, memory=max((task.memory for task in tasks), default=0))


def one_of_all(failures: Mapping[str, GateError], artifacts: int) -> GateError:
    """One error for all artifacts of a run that failed, by name."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    return GateError(
        f"{len(failures)} of {artifacts} artifacts failed: {', '.join(failures)}",
        found="".join(f"\n{name}: {error}" for name, error in failures.items()),
    )
