"""A run from checkpoint to finished artifacts, stage by stage, readable top to bottom."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from convert.artifact import PendingFolder, require_absent
from convert.checkpoint import Checkpoint, open_checkpoint
from convert.diagnosis import largest_errors
from convert.errors import DiskFullError, GateError, TricastError, UsageError
from convert.hashing import combined_digest, hash_file, hash_files
from convert.manifest import (
    GateRecord,
    Manifest,
    SourceRecord,
    TensorRecord,
    installed_versions,
    record_files,
    write_manifest,
)
from convert.preparation import Prepared, open_source, prepare, resolve_encoding
from convert.progress import Reporter
from convert.recipe import Artifact, Recipe
from convert.stream import source_bytes, write_layouts
from golden.gate import record_golden, run_gate
from golden.thresholds import Thresholds, thresholds_for
from passes.quantize import coverage

GOLDEN_NAME = "golden.safetensors"


@dataclass(frozen=True)
class RunRequest:
    """What to convert, into what, and how strictly.

    Args:
        recipe: Its ``model`` is the checkpoint: a folder, a GGUF file or a hub id.
        out: Folder that will hold one folder for each artifact.
        gate: Run the artifacts and compare them with the original.
        tokenizer: Carry the tokenizer over.
        strict: Refuse fallback encodings.
        threads: Threads of the runtimes.
        golden: A recording made elsewhere; None records one here.
        keep_failed: Keep an artifact that fails the gate, as ``NAME.failed``.
    """

    recipe: Recipe
    out: Path
    threads: int
    gate: bool = True
    tokenizer: bool = True
    strict: bool = False
    golden: Path | None = None
    keep_failed: bool = False


def run(request: RunRequest, reporter: Reporter) -> tuple[Path, ...]:
    """Convert, check and publish every artifact of the recipe.

    Returns:
        The finished folders.

    Raises:
        TricastError: Whatever went wrong; the artifacts that failed leave nothing behind. A
            `GateError` is raised after the other artifacts were finished.
    """
    artifacts = [resolve_encoding(artifact) for artifact in request.recipe.artifacts]
    for artifact in artifacts:
        require_absent(request.out / artifact.folder)
    request.out.mkdir(parents=True, exist_ok=True)

    with ExitStack() as cleanup:
        scratch = cleanup.enter_context(PendingFolder(request.out, "scratch")).path
        with reporter.stage("open the checkpoint"):
            checkpoint = _open(request, scratch)
            source = open_source(checkpoint)
        prepared = [
            prepare(
                checkpoint, source, artifact, tokenizer=request.tokenizer, strict=request.strict
            )
            for artifact in artifacts
        ]
        _require_space(request.out, prepared)
        with reporter.stage("hash the checkpoint"):
            origin = describe_source(checkpoint)
        golden = _golden(request, checkpoint, origin, reporter) if request.gate else None

        pending = [
            cleanup.enter_context(PendingFolder(request.out, item.artifact.folder))
            for item in prepared
        ]
        layouts = [
            (folder.path, item.layout) for folder, item in zip(pending, prepared, strict=True)
        ]
        with reporter.transfer("convert", source_bytes(layouts)) as advance:
            write_layouts(layouts, advance)

        return _finish(request, checkpoint, origin, golden, prepared, pending, reporter)


def _open(request: RunRequest, scratch: Path) -> Checkpoint:
    if request.recipe.model is None:
        raise UsageError(
            "no model is named",
            expected="MODEL on the command line, or `model:` in the recipe",
        )
    return open_checkpoint(request.recipe.model, revision=request.recipe.revision, scratch=scratch)


def _require_space(out: Path, prepared: list[Prepared]) -> None:
    needed = sum(item.nbytes for item in prepared)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DiskFullError(
            f"the artifacts do not fit on the disk of {out}",
            expected=f"{needed:,} bytes free",
            found=f"{free:,} bytes free",
            remedy="free some space, choose another --out, or convert fewer artifacts at once",
        )


def describe_source(checkpoint: Checkpoint) -> SourceRecord:
    """Hash every input file of a checkpoint."""
    files = hash_files(checkpoint.folder, checkpoint.files)
    return SourceRecord(label=checkpoint.label, digest=combined_digest(files), files=files)


def _golden(
    request: RunRequest, checkpoint: Checkpoint, origin: SourceRecord, reporter: Reporter
) -> Path:
    """The recording to compare with: the user's, or one made now and kept beside the artifacts."""
    if request.golden is not None:
        return request.golden
    path = request.out / GOLDEN_NAME
    with reporter.stage("record the original"):
        record_golden(
            checkpoint.folder,
            path,
            prompts=Path(request.recipe.prompts) if request.recipe.prompts else None,
            threads=request.threads,
            label=origin.label,
            digest=origin.digest,
            tokenizer=request.tokenizer,
        )
    return path


def _finish(
    request: RunRequest,
    checkpoint: Checkpoint,
    origin: SourceRecord,
    golden: Path | None,
    prepared: list[Prepared],
    pending: list[PendingFolder],
    reporter: Reporter,
) -> tuple[Path, ...]:
    finished: list[Path] = []
    failures: list[GateError] = []
    for item, folder in zip(prepared, pending, strict=True):
        try:
            gate = _gate(request, item, folder, origin, golden, reporter)
        except GateError as error:
            failures.append(_explain(error, checkpoint, item, folder, request.keep_failed))
            continue
        write_manifest(folder.path, _manifest(item, origin, gate, folder.path))
        finished.append(folder.publish())
        reporter.say(f"{finished[-1]}: {item.nbytes:,} bytes")
        for note in item.layout.notes:
            reporter.say(f"  note: {note}")
    if failures:
        raise _combined(failures)
    return tuple(finished)


def _gate(
    request: RunRequest,
    item: Prepared,
    folder: PendingFolder,
    origin: SourceRecord,
    golden: Path | None,
    reporter: Reporter,
) -> GateRecord:
    if golden is None:
        return GateRecord(status="unverified")
    with reporter.stage(f"check {item.artifact.folder}"):
        result = run_gate(
            folder.path,
            item.target.name,
            golden,
            thresholds(item.artifact),
            threads=request.threads,
            digest=origin.digest,
        )
    for line in result.lines():
        reporter.say(f"  {line}")
    if not result.passed:
        raise GateError(
            f"{item.artifact.folder} does not match the original",
            expected="figures within the thresholds of its encoding",
            found="; ".join(result.failures),
        )
    record = hash_file(golden.parent, golden)
    return GateRecord(status="passed", golden_sha256=record.sha256, result=result.as_dict())


def thresholds(artifact: Artifact) -> Thresholds:
    """The defaults of the artifact's encoding, with what the recipe sets instead."""
    return thresholds_for(artifact.encoding or "").updated(artifact.gate.given())


def _explain(
    error: GateError,
    checkpoint: Checkpoint,
    item: Prepared,
    folder: PendingFolder,
    keep: bool,
) -> GateError:
    """Add which tensors differ most, and where the failed artifact is."""
    try:
        worst = largest_errors(item.target, folder.path, checkpoint.weights)
        tensors = ", ".join(f"{one.name} {one.relative_rms:.2%}" for one in worst)
    except TricastError as unreadable:
        tensors = f"unreadable ({unreadable.what})"
    remedy = "choose an encoding with more bits, or set thresholds in the recipe's gate"
    if keep:
        remedy = f"look at {folder.set_aside()}; {remedy}"
    found = f"{error.found or ''}; stored weights that differ most: {tensors}".lstrip("; ")
    return type(error)(error.what, expected=error.expected, found=found, remedy=remedy)


def _combined(failures: list[GateError]) -> GateError:
    if len(failures) == 1:
        return failures[0]
    return GateError("\n".join(str(failure) for failure in failures))


def _manifest(item: Prepared, origin: SourceRecord, gate: GateRecord, folder: Path) -> Manifest:
    return Manifest(
        artifact=item.artifact.folder,
        target=item.target.name,
        recipe=item.artifact,
        source=origin,
        versions=installed_versions(),
        gate=gate,
        notes=item.layout.notes,
        tensors=tuple(
            TensorRecord(
                name=tensor.name,
                shape=tensor.shape,
                role=tensor.role,
                encoding=tensor.encoding,
                bytes=tensor.nbytes,
                fallback=tensor.fallback,
            )
            for tensor in coverage(item.model)
        ),
        files=record_files(folder),
    )
