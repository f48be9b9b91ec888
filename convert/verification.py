"""Checks a finished artifact again: its files against the manifest, its logits by the gate."""

from __future__ import annotations

from pathlib import Path

from convert.errors import GateError
from convert.gate_lines import gate_lines
from convert.gating import thresholds
from convert.manifest import check_files, read_manifest
from convert.progress import Reporter
from convert.recording import recording_beside
from golden.gate import run_gate


def verify(
    artifact: Path, *, golden: Path | None, gate: bool, threads: int, reporter: Reporter
) -> None:
    """Re-check an artifact.

    Args:
        artifact: Its folder.
        golden: Recording to compare with; by default the one that `convert run` left beside it.
        gate: Whether to run the artifact again.

    Raises:
        VerificationError: The files, or the recording, are not what the manifest says.
        GateError: The artifact no longer matches the original.
        MissingFileError: There is no recording to compare with.
    """
    manifest = read_manifest(artifact)
    with reporter.stage("check the files"):
        check_files(artifact, manifest)
    if not gate:
        reporter.say(f"gate: not run again; the manifest says {manifest.gate.status}")
        return
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
    if not result.passed:
        raise GateError(f"{artifact} does not match the original", found="; ".join(result.failures))
