"""A run from checkpoint to finished artifacts, stage by stage, readable top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convert.artifact import PendingFolder
from convert.checkpoint import Checkpoint
from convert.errors import GateError
from convert.examining import Examined, Refused
from convert.gating import examinations, gate_artifact, one_of_all
from convert.inputs import Inputs
from convert.journal import Journal
from convert.manifest import (
    CalibrationRecord,
    GateRecord,
    Manifest,
    RunRecord,
    SourceRecord,
    TensorRecord,
    WeightingRecord,
    record_files,
    write_manifest,
)
from convert.memory import chunk_bytes, default_budget
from convert.mixing_artifacts import Mixes
from convert.opening import Opened, open_model
from convert.outcomes import NOT_GATED, Outcome, recorded_outcome
from convert.outlets.base import Here, Outlet
from convert.preparation import Prepared, main_encoding, open_source, prepare, resolve_encoding
from convert.progress import Reporter
from convert.provenance.derived import write_derived
from convert.recipe import NO_TEXT, Artifact, Recipe
from convert.recording import find_or_record
from convert.remarks import remarks
from convert.reporting.during_run import Pages
from convert.reporting.findings import Findings
from convert.resume import (
    announcing_what_is_kept,
    finished_earlier,
    go_on_or_begin,
    hold_to_source,
    identity,
)
from convert.room import require_room, require_space
from convert.run_record import run_record
from convert.stream import WrittenFiles, source_bytes, write_layouts
from convert.text_runs import TextRuns
from convert.versions import installed_versions
from convert.workers import THIS_PROCESS, Workers
from golden.format import read
from passes.quantize import coverage

if TYPE_CHECKING:
    from convert.one_pass import OnePass
    from targets.base import Source


@dataclass(frozen=True)
class RunRequest:
    """What to convert, into what, and how strictly.

    Args:
        recipe: Its ``model`` is the checkpoint: a folder, a GGUF file or a hub id.
        out: Folder that will hold one folder for each artifact.
        gate: Run the artifacts and compare them with the original.
        tokenizer: Carry the tokenizer over.
        strict: Refuse fallback encodings.
        threads: Threads of the conversion and of the runtimes.
        golden: A recording made elsewhere; None records one here.
        keep_failed: Keep an artifact that fails the gate, as ``NAME.failed``.
        restart: Discard what an interrupted run left instead of going on from there.
        memory: Bytes of weights in flight; None takes a quarter of what is free.
        opened: The model of the recipe, if it was opened already.
        report: Write a page about each artifact beside it.
        workers: Who does chunks, runs batches of texts, records the original, checks artifacts.
        outlet: Where finished artifacts go from ``out``.
    """

    recipe: Recipe
    out: Path
    threads: int
    gate: bool = True
    tokenizer: bool = True
    strict: bool = False
    golden: Path | None = None
    keep_failed: bool = False
    restart: bool = False
    memory: int | None = None
    opened: Opened | None = None
    report: bool = True
    workers: Workers = THIS_PROCESS
    outlet: Outlet = field(default_factory=Here)


@dataclass(frozen=True)
class Original:
    """The opened checkpoint, its hashes, and its recording (None: no gate)."""

    checkpoint: Checkpoint
    record: SourceRecord
    golden: Path | None


@dataclass(frozen=True)
class Written:
    """An artifact whose files are complete but not yet checked."""

    prepared: Prepared
    folder: PendingFolder
    files: WrittenFiles
    weighting: WeightingRecord | None
    run: RunRecord


def run(request: RunRequest, reporter: Reporter) -> tuple[Path, ...]:
    """Convert, check and publish every artifact of the recipe.

    Returns:
        The finished folders.

    Raises:
        TricastError: Whatever went wrong; nothing unfinished has a final name. A `GateError` is
            raised after the other artifacts were finished. After an interruption or on a full
            disk, what was written is kept for the next run to go on from.
    """
    artifacts = [resolve_encoding(artifact) for artifact in request.recipe.artifacts]
    budget = default_budget() if request.memory is None else request.memory
    chunk_size = chunk_bytes(budget, threads=request.threads, artifacts=len(artifacts))
    kernels = {"f32", *map(main_encoding, artifacts)}
    request.workers.warm_up(kernels, weighted=request.recipe.calibrate != NO_TEXT)
    with ExitStack() as stack:
        stack.enter_context(announcing_what_is_kept(request.out, artifacts, reporter.say))
        scratch = stack.enter_context(PendingFolder(request.out, "scratch"))
        names = [artifact.folder for artifact in artifacts]
        stack.enter_context(request.outlet.opened(request.out, names, reporter, request.restart))
        finished = finished_earlier(request.out, artifacts, gate=request.gate)
        artifacts = _still_to_make(request, artifacts, finished, reporter)
        with reporter.stage("open the checkpoint"):
            checkpoint, inputs, source = _open(request, scratch.path, stack)
        in_flight = request.threads * chunk_size
        require_room(checkpoint, source, request.recipe, artifacts, request.out, in_flight)
        texts = TextRuns(
            *(request.recipe, checkpoint, source, inputs, request.out, reporter, request.workers),
            restart=request.restart,
        )
        mixes = Mixes(request.recipe, checkpoint, source, request.out, texts.record, reporter)
        preparing = partial(
            prepare,
            *(checkpoint, source),
            tokenizer=request.tokenizer,
            strict=request.strict,
            **texts.asked(),
            imatrix=request.recipe.imatrix is not None,
        )
        prepared = [
            texts.with_imatrix(mixes.prepare(artifact, preparing)) for artifact in artifacts
        ]
        require_space(request.out, prepared)
        one_pass = texts.weigh().one_pass if any(item.is_weighted for item in prepared) else None
        pending = [_resume(request, checkpoint, inputs, item, one_pass, stack) for item in prepared]
        compare = request.gate and prepared
        golden = _golden(request, checkpoint, texts.record(), reporter) if compare else None
        written = _write(request, checkpoint, prepared, pending, one_pass, chunk_size, reporter)
        with reporter.stage("hold to the checkpoint"):
            hold_to_source(inputs, [journal for _, journal in pending], finished)
            if one_pass is not None:
                one_pass.keep(inputs.record().digest)
        original = Original(checkpoint, inputs.record(), golden)
        pages = Pages(
            source.config, reporter, wanted=request.report, checked=original.golden is not None
        )
        made = _finish(request, original, written, pages, reporter)
        return (*(request.out / name for name in finished), *made)


def _open(
    request: RunRequest, scratch: Path, stack: ExitStack
) -> tuple[Checkpoint, Inputs, Source]:
    opened = request.opened or open_model(request.recipe, scratch)
    stack.callback(opened.checkpoint.close)
    return opened.checkpoint, opened.inputs, open_source(opened.checkpoint)


def _still_to_make(
    request: RunRequest,
    artifacts: list[Artifact],
    finished: Mapping[str, Manifest],
    reporter: Reporter,
) -> list[Artifact]:
    for name, manifest in finished.items():
        reporter.say(f"{name}: finished by the interrupted run")
        reporter.judged(recorded_outcome(manifest))
    left = [artifact for artifact in artifacts if artifact.folder not in finished]
    for artifact in left:
        request.outlet.require_absent(request.out / artifact.folder)
    return left


def _resume(
    request: RunRequest,
    checkpoint: Checkpoint,
    inputs: Inputs,
    item: Prepared,
    one_pass: OnePass | None,
    stack: ExitStack,
) -> tuple[PendingFolder, Journal]:
    """The folder that an artifact is made in, and the journal of what is written of it already."""
    name = item.artifact.folder
    folder = stack.enter_context(PendingFolder(request.out, name, restart=request.restart))
    journal = stack.enter_context(Journal(folder.journal, folder.path))
    weighting = one_pass.identity if one_pass and item.is_weighted else None
    go_on_or_begin(journal, folder, identity(checkpoint.label, inputs, item, weighting), inputs)
    return folder, journal


def _golden(
    request: RunRequest, checkpoint: Checkpoint, record: SourceRecord, reporter: Reporter
) -> Path:
    if request.golden is not None:
        read(request.golden).require_model(digest=record.digest)
        return request.golden
    return find_or_record(
        checkpoint,
        record,
        request.out,
        prompts=Path(request.recipe.prompts) if request.recipe.prompts else None,
        tokenizer=request.tokenizer,
        threads=request.threads,
        reporter=reporter,
        workers=request.workers,
    )


def _write(
    request: RunRequest,
    checkpoint: Checkpoint,
    prepared: list[Prepared],
    pending: list[tuple[PendingFolder, Journal]],
    one_pass: OnePass | None,
    chunk_size: int,
    reporter: Reporter,
) -> list[Written]:
    places = zip(pending, prepared, strict=True)
    layouts = [(folder.path, item.layout) for (folder, _), item in places]
    journals = {folder.path: journal for folder, journal in pending}
    with reporter.transfer("convert", source_bytes(layouts)) as advance:
        files = write_layouts(
            layouts,
            advance,
            threads=request.threads,
            chunk_bytes=chunk_size,
            journals=journals,
            executing=request.workers.executing,
            abandon=checkpoint.close,
            calibration=one_pass,
            follow=request.outlet.follow,
        )
    weighting = one_pass.record() if one_pass else None
    told = partial(run_record, request.recipe, tokenizer=request.tokenizer, strict=request.strict)
    return [
        Written(
            *(item, folder, files[folder.path], weighting if item.is_weighted else None),
            told(item.artifact),
        )
        for item, (folder, _) in zip(prepared, pending, strict=True)
    ]


def _finish(
    request: RunRequest,
    original: Original,
    written: list[Written],
    pages: Pages,
    reporter: Reporter,
) -> tuple[Path, ...]:
    """Gate each artifact; publish those that pass, and raise for those that do not."""
    finished: list[Path] = []
    failures: dict[str, GateError] = {}
    examined = examinations(
        request.workers,
        [(one.prepared, one.folder.path) for one in written],
        original.checkpoint,
        original.record,
        original.golden,
        threads=request.threads,
    )
    for one in written:
        item, folder, findings = one.prepared, one.folder, Findings()
        try:
            gate = _gate(request, original, item, folder.path, reporter, findings, examined)
        except GateError as error:
            failures[item.artifact.folder] = error
            reporter.say(f"  {item.artifact.folder} fails: {error.what}")
            refused = _manifest(original, one, findings.refused())
            pages.write(folder.final, refused, item, findings, failures=[str(error)])
            request.outlet.drop(folder)
            if request.keep_failed:
                reporter.say(f"kept as {folder.set_aside()}")
            continue
        manifest = _manifest(original, one, gate)
        write_manifest(folder.path, manifest)
        write_derived(folder.path)
        finished.append(request.outlet.publish(folder))
        reporter.say(f"{request.outlet.place(finished[-1])}: {item.nbytes:,} bytes")
        pages.write(finished[-1], manifest, item, findings)
        request.outlet.accompany(finished[-1])
        for line in remarks(item, one.weighting):
            reporter.say(f"  {line}")
    pages.announce()
    if failures:
        raise one_of_all(failures, len(written))
    return tuple(finished)


def _gate(
    request: RunRequest,
    original: Original,
    item: Prepared,
    folder: Path,
    reporter: Reporter,
    findings: Findings,
    examined: Iterator[Examined | Refused],
) -> GateRecord:
    if original.golden is None:
        name = item.artifact.folder
        reporter.judged(Outcome(name, nbytes=item.nbytes, skipped=NOT_GATED))
        return GateRecord(status="unverified")
    return gate_artifact(
        item,
        folder,
        original.checkpoint,
        original.record,
        original.golden,
        tokenizer=request.tokenizer,
        threads=request.threads,
        reporter=reporter,
        findings=findings,
        examined=partial(next, examined),
    )


def _manifest(original: Original, written: Written, gate: GateRecord) -> Manifest:
    item = written.prepared
    return Manifest(
        artifact=item.artifact.folder,
        target=item.target.name,
        recipe=item.artifact,
        source=original.record,
        run=written.run,
        versions=installed_versions(),
        calibration=_calibration(item),
        weighting=written.weighting,
        imatrix=item.imatrix,
        calibrated=item.calibrated_record,
        mix=item.mix.record() if item.mix else None,
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
        files=record_files(written.folder.path, written.files),
    )


def _calibration(item: Prepared) -> CalibrationRecord | None:
    seen = item.observations or item.measured
    if seen is None:
        return None
    return CalibrationRecord(text_sha256=seen.text_sha256, tokens=seen.tokens)
