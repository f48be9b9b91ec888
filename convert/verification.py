"""Checks a finished artifact again: its files against the manifest, its logits by the gate."""

from __future__ import annotations

import time
from pathlib import Path

from convert.errors import GateError, TricastError
from convert.gate_lines import gate_lines
from convert.gating import thresholds
from convert.manifest import Manifest
from convert.outcomes import FILES, NOT_GATED, Outcome, gate_checks
from convert.progress import Reporter
from convert.provenance.checking import check_artifact
from convert.provenance.claims import require_as_claimed
from convert.provenance.signatures import Trust
from convert.recording import recording_beside
from convert.results import Verified
from golden.gate import run_gate
from golden.result import Check, GateResult


def verify(
    artifact: Path,
    *,
    golden: Path | None,
    gate: bool,
    threads: int,
    reporter: Reporter,
    trust: Trust | None = None,
) -> Verified:
    """Re-check an artifact; `convert.provenance.checking.check_artifact` is the part of it that
    does not run the artifact.

    Args:
        artifact: Its folder.
        golden: Recording to compare with; by default the one that `convert run` left beside it.
        gate: Whether to run the artifact again.
        reporter: Told of the figures, passed or not.
        trust: Whose signature it must have; None looks at no signature.

    Raises:
        SignatureError: It is not signed by ``trust``, or something else was signed.
        VerificationError: The files, the recording or the figures are not what the manifest says.
        GateError: The artifact no longer matches the original.
        MissingFileError: There is no recording to compare with.
    """
    started = time.perf_counter()
    name = artifact.resolve().name
    try:
        with reporter.stage("check the files"):
            checked = check_artifact(artifact, trust)
        reporter.say(f"  {checked.line()}")
        manifest = checked.manifest
        name = manifest.artifact
        result = _gated(artifact, manifest, golden, threads, reporter) if gate else None
    except TricastError as error:
        reporter.judged(Outcome(name, seconds=time.perf_counter() - started, error=str(error)))
        raise
    files = Check(FILES, True, f"{len(manifest.files)} files are as recorded")
    checks = (files, *(gate_checks(result) if result else ()))
    skipped = None if gate else NOT_GATED
    nbytes = sum(file.size for file in manifest.files)
    seconds = time.perf_counter() - started
    reporter.judged(Outcome(name, checks, seconds, nbytes, skipped=skipped))
    if result is None:
        reporter.say(f"gate: not run again; the manifest says {manifest.gate.status}")
    elif not result.passed:
        raise GateError(f"{artifact} does not match the original", found="; ".join(result.failures))
    return Verified(artifact, manifest, result)


def _gated(
    artifact: Path, manifest: Manifest, golden: Path | None, threads: int, reporter: Reporter
) -> GateResult:
    recording = golden or recording_beside(artifact, manifest.gate)
    with reporter.stage("run the gate again"):
        result = run_gate(
            artifact,
            manifest.target,
            recording,
            thresholds(manifest.recipe),
            threads=threads,
            digest=manifest.source.digest,
        )
    for line in gate_lines(result):
        reporter.say(f"  {line}")
    if result.passed:
        require_as_claimed(manifest, result)
    return result
