"""Makes again what a manifest says was made; it gets its name only if every byte is the same."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convert.artifact import partial_folder, require_absent
from convert.differences.values import changes, short
from convert.errors import BrokenInputError, NotReproducedError, OutputExistsError
from convert.hashing import hash_file
from convert.manifest import (
    MANIFEST_NAME,
    GateRecord,
    Manifest,
    parse_manifest,
    read_manifest,
)
from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.provenance.claims import require_as_claimed
from convert.provenance.frozen_inputs import Given, frozen_recipe, open_frozen, run_of
from convert.versions import installed_versions
from golden.result import GateResult

_RECORDED = (
    "target",
    "recipe",
    "calibration",
    "weighting",
    "imatrix",
    "calibrated",
    "mix",
    "notes",
)
"""Of a manifest, what must come out again besides its files and tensors."""


@dataclass(frozen=True)
class Repetition:
    """What to make again.

    Args:
        manifest: Its path, or the folder of an artifact that has one.
        out: Folder where the artifact appears under its name, if it is not there already.
        given: Where the inputs are.
        keep_failed: Keep what came out otherwise, as ``NAME.differs``.
        restart: Discard what an interrupted repetition left.
        memory: Bytes of weights in flight, see `RunRequest`.
    """

    manifest: Path
    out: Path
    threads: int
    given: Given = field(default_factory=Given)
    keep_failed: bool = False
    restart: bool = False
    memory: int | None = None


def repeat(asked: Repetition, reporter: Reporter) -> Path:
    """Run the recipe of a manifest on the inputs of the manifest, and compare every byte.

    The gate is run again where it was run before. Versions may differ: that is said, and may be why
    bytes do.

    Returns:
        The artifact: the one that was made, or the one of that name that was there already.

    Raises:
        NotReproducedError: A file, or what the manifest says of it, came out otherwise.
        ChangedInputError: An input is not the one that the manifest names.
        UsageError: An input is not given.
        TricastError: As a run does.
    """
    path = asked.manifest / MANIFEST_NAME if asked.manifest.is_dir() else asked.manifest
    manifest = parse_manifest(path)
    _require_a_name(manifest)
    recipe = frozen_recipe(manifest, asked.given)
    for change in changes(manifest.versions, installed_versions()):
        reporter.say(f"version of {change}")
    scratch = asked.out / f".{manifest.artifact}.frozen"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with reporter.stage("check the inputs"):
            opened = open_frozen(recipe, manifest.source, scratch)
        told = run_of(manifest)
        request = RunRequest(
            recipe, scratch, asked.threads, gate=manifest.gate.status == "passed",
            tokenizer=told.tokenizer, strict=told.strict, restart=asked.restart,
            memory=asked.memory, opened=opened, report=False,
            golden=_recording(manifest.gate, path.resolve().parent.parent, asked.out),
        )  # fmt: skip
        (made,) = _made_anew(request, scratch / manifest.artifact, reporter)
        _require_same(manifest, made, asked, reporter)
        return _put(made, asked.out, manifest)
    finally:
        if not partial_folder(scratch, manifest.artifact).exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _require_a_name(manifest: Manifest) -> None:
    """The folder that it names is made, and removed: it must not lead elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", manifest.artifact):
        raise BrokenInputError(
            "the manifest names no folder of an artifact",
            expected="letters, digits, dots, dashes and underscores",
            found=repr(manifest.artifact),
        )


def _made_anew(request: RunRequest, folder: Path, reporter: Reporter) -> tuple[Path, ...]:
    """A repetition that was killed after its run had ended is repeated whole."""
    if folder.exists():
        shutil.rmtree(folder)
    return run(request, reporter)


def _recording(gate: GateRecord, *folders: Path) -> Path | None:
    """The recording of the original that the manifest names, where it is at hand."""
    for folder in folders if gate.golden is not None else ():
        path = folder / Path(gate.golden or "").name
        if path.is_file() and hash_file(folder, path).sha256 == gate.golden_sha256:
            return path
    return None


def _require_same(manifest: Manifest, made: Path, asked: Repetition, reporter: Reporter) -> None:
    found = read_manifest(made)
    faults = [*_files(manifest, found), *_statements(manifest, found)]
    if faults:
        if asked.keep_failed:
            kept = asked.out / f"{manifest.artifact}.differs"
            shutil.rmtree(kept, ignore_errors=True)
            made.rename(kept)
            reporter.say(f"kept as {kept}")
        raise NotReproducedError(
            f"{manifest.artifact} did not come out as its manifest says",
            expected=f"{len(manifest.files)} files, the same byte for byte",
            found="; ".join(faults),
            remedy="install the versions that the manifest names, if they are others here; "
            "`convert diff` shows more of what --keep-failed keeps",
        )
    if manifest.gate.result is not None and found.gate.result is not None:
        require_as_claimed(manifest, GateResult.from_json(found.gate.result))
        for change in changes(manifest.gate.model_dump(), found.gate.model_dump(), "gate"):
            reporter.say(f"measured otherwise, within what machines differ by: {change}")
    reporter.say(f"{manifest.artifact}: {len(found.files)} files are the same, byte for byte")


def _files(manifest: Manifest, found: Manifest) -> Iterator[str]:
    if manifest.artifact != found.artifact:
        yield f"its name is {manifest.artifact}, {found.artifact} here"
    before, now = ({file.path: file for file in each.files} for each in (manifest, found))
    yield from (f"{path} was not made" for path in before if path not in now)
    yield from (f"{path} was made, too" for path in now if path not in before)
    for path in before.keys() & now.keys():
        one, other = before[path], now[path]
        if one.size != other.size:
            yield f"{path} differs ({one.size:,} bytes, {other.size:,} here)"
        elif one != other:
            yield f"{path} differs"


def _statements(manifest: Manifest, found: Manifest) -> Iterator[str]:
    """What the manifests say otherwise, besides files, versions and figures."""
    before, now = (each.model_dump(mode="json") for each in (manifest, found))
    one, other = ({each["name"]: each for each in side["tensors"]} for side in (before, now))
    for change in changes(one, other, "tensors"):
        yield f"{MANIFEST_NAME}: {change.place} {short(change.before)}, {short(change.after)} here"
    for part in _RECORDED:
        for change in changes(before[part], now[part], part):
            said = f"{short(change.before)}, {short(change.after)} here"
            yield f"{MANIFEST_NAME}: {change.place} {said}"


def _put(made: Path, out: Path, manifest: Manifest) -> Path:
    """Give the artifact its name, and its recording a place beside it, unless they are there."""
    final = out / manifest.artifact
    try:
        require_absent(final)
    except OutputExistsError:
        return final
    for recording in made.parent.glob("golden-*"):
        if not (out / recording.name).exists():
            recording.rename(out / recording.name)
    made.rename(final)
    return final
