"""Makes the page of a finished artifact again, or for the first time."""

from __future__ import annotations

from pathlib import Path

from convert.errors import GateError, UsageError
from convert.gating import thresholds
from convert.manifest import Manifest, read_manifest
from convert.progress import Reporter
from convert.recording import recording_beside
from convert.reporting.data import (
    ReportData,
    data_path,
    files_digest,
    page_path,
    read_data,
    write_data,
    write_whole,
)
from convert.reporting.page import page
from golden.gate import run_gate


def make_page(
    artifact: Path,
    *,
    out: Path | None,
    gate: bool,
    golden: Path | None,
    threads: int,
    reporter: Reporter,
) -> Path:
    """Write the page of the artifact in a folder.

    What a run kept beside the artifact is shown, if it is of this artifact; its files are not read.

    Args:
        out: The page; None for its place beside the artifact.
        gate: Whether to run the artifact again for what is not kept: figures by position, the
            speed of decoding. They are kept then.
        golden: Recording to compare with; by default the one that `convert run` left beside it.
        threads: Of the runtime.

    Returns:
        Where the page is.

    Raises:
        MissingFileError: There is no manifest, or no recording to compare with.
        BrokenInputError: The manifest or the kept data are damaged.
        GateError: The artifact no longer matches the original.
        UsageError: The page cannot be written.
    """
    artifact = artifact.resolve()
    manifest = read_manifest(artifact)
    data = read_data(data_path(artifact))
    if data is not None and not data.belongs_to(manifest):
        reporter.say(f"{data_path(artifact).name} is of another artifact, and left out")
        data = None
    if gate:
        data = _with_details(artifact, manifest, data, golden, threads, reporter)
    place = page_path(artifact) if out is None else out
    try:
        if gate and data is not None:
            write_data(data_path(artifact), data)
        write_whole(place, page(manifest, data))
    except OSError as error:
        raise UsageError(f"cannot write {place}", found=str(error)) from error
    return place


def _with_details(
    artifact: Path,
    manifest: Manifest,
    data: ReportData | None,
    golden: Path | None,
    threads: int,
    reporter: Reporter,
) -> ReportData:
    recording = golden or recording_beside(artifact, manifest.gate)
    with reporter.stage("run the artifact beside the recording"):
        result = run_gate(
            artifact,
            manifest.target,
            recording,
            thresholds(manifest.recipe),
            threads=threads,
            digest=manifest.source.digest,
        )
    if not result.passed:
        raise GateError(f"{artifact} does not match the original", found="; ".join(result.failures))
    known = data or ReportData(
        artifact=manifest.artifact, files_sha256=files_digest(manifest.files)
    )
    return known.model_copy(update={"details": result.details})
