"""The inputs that a manifest was made of, found again: held to its hashes before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from convert.checkpoint import open_checkpoint
from convert.errors import ChangedInputError, MissingFileError, UsageError
from convert.hashing import hash_file
from convert.inputs import Inputs
from convert.manifest import Manifest, RunRecord, SourceRecord
from convert.opening import Opened
from convert.provenance.origins import hub_commit
from convert.recipe import SHIPPED_TEXT, Recipe


@dataclass(frozen=True)
class Given:
    """Where the inputs are that a manifest knows by their hashes alone.

    Args:
        model: Checkpoint folder, GGUF file or hub id; None takes the commit of the manifest.
        calibrate: The text, if it was the user's own.
        prompts: Those of the gate, likewise.
        imatrix: The imatrix, if there was one.
        lora: Folders of the adapters, in their order.
    """

    model: str | None = None
    calibrate: Path | None = None
    prompts: Path | None = None
    imatrix: Path | None = None
    lora: tuple[Path, ...] = ()


def run_of(manifest: Manifest) -> RunRecord:
    """What the run was told; the defaults for a manifest of a version that did not record it."""
    default = RunRecord(tokenizer=True, strict=False, calibrate=SHIPPED_TEXT)
    return default if manifest.run is None else manifest.run


def frozen_recipe(manifest: Manifest, given: Given) -> Recipe:
    """The recipe that makes the artifact of a manifest again.

    Raises:
        UsageError: An input is not given, or one is that the run had not.
        MissingFileError: A file is not there.
        ChangedInputError: A file is another one.
    """
    run = run_of(manifest)
    model, revision = _model(manifest, given)
    text = _file("--calibrate", given.calibrate, run.calibrate, run.calibrate_sha256)
    prompts = _file("--prompts", given.prompts, run.prompts, run.prompts_sha256)
    imatrix = manifest.imatrix
    named = (None, None) if imatrix is None else (imatrix.file, imatrix.sha256)
    weights = _file("--imatrix", given.imatrix, *named)
    if len(given.lora) != len(run.lora):
        raise UsageError(
            f"{manifest.artifact} was made with other adapters",
            expected=", ".join(f"--lora {name}" for name in run.lora) or "no --lora",
            found=f"{len(given.lora)} of them",
        )
    return Recipe(
        name="frozen",
        model=model,
        revision=revision,
        lora=tuple(map(str, given.lora)),
        prompts=prompts,
        calibrate=text or (run.calibrate if run.calibrate_sha256 is None else SHIPPED_TEXT),
        calibration_tokens=run.calibration_tokens,
        imatrix=weights,
        artifacts=(run.asked or manifest.recipe,),
    )


def open_frozen(recipe: Recipe, source: SourceRecord, scratch: Path) -> Opened:
    """Open the checkpoint of a frozen recipe, under the name that it had.

    Args:
        source: What it must be.
        scratch: Folder for what is made of a model that is no checkpoint yet.

    Raises:
        ChangedInputError: A file is missing, too many, or another one; all are named.
        TricastError: It cannot be opened.
    """
    checkpoint = open_checkpoint(
        recipe.model or "", revision=recipe.revision, scratch=scratch, adapters=recipe.lora
    )
    checkpoint = replace(checkpoint, label=source.label)
    inputs = Inputs(checkpoint)
    found = inputs.record()
    if found.digest != source.digest:
        checkpoint.close()
        raise ChangedInputError(
            f"{recipe.model} is not the checkpoint that the manifest was made of",
            expected=f"{len(source.files)} files with the recorded SHA-256",
            found="; ".join(_faults(source, found)) or "other hashes in another order",
            remedy="name the checkpoint that was converted",
        )
    return Opened(checkpoint, inputs)


def _faults(source: SourceRecord, found: SourceRecord) -> Iterator[str]:
    before, now = ({file.path: file.sha256 for file in each.files} for each in (source, found))
    yield from (f"{path} is missing" for path in before if path not in now)
    yield from (f"{path} was added" for path in now if path not in before)
    yield from (f"{path} differs" for path in before if now.get(path, before[path]) != before[path])


def _model(manifest: Manifest, given: Given) -> tuple[str, str | None]:
    if given.model is not None:
        return given.model, None
    hub = hub_commit(manifest.source.label)
    if hub is None:
        raise UsageError(
            f"{manifest.artifact} was made of {manifest.source.label}, which was on a disk",
            expected="MODEL, the folder or GGUF file of that checkpoint",
        )
    return hub.name, hub.commit


def _file(option: str, path: Path | None, name: str | None, sha256: str | None) -> str | None:
    """A file of the user's own, if the run had one."""
    if sha256 is None:
        if path is not None:
            raise UsageError(
                f"{option} {path}, and the manifest was made without such a file",
                remedy=f"leave {option} out",
            )
        return None
    if path is None:
        raise UsageError(
            f"the manifest was made with a file {name}, which is not given",
            expected=f"{option} FILE, of SHA-256 {sha256}",
        )
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}", expected=f"{name}, for {option}")
    found = hash_file(path.parent, path).sha256
    if found != sha256:
        raise ChangedInputError(
            f"{path} is not the file that the manifest was made with",
            expected=f"{name} of SHA-256 {sha256}",
            found=found,
        )
    return str(path)
