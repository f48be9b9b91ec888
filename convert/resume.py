"""Whether a run may go on where another one stopped: the same checkpoint, the same recipe."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from convert.artifact import JOURNAL_NAME, PendingFolder, partial_folder
from convert.errors import OutputExistsError, ResumeError
from convert.inputs import Inputs, changed_input
from convert.journal import Identity, Journal
from convert.manifest import MANIFEST_NAME, Manifest, read_manifest
from convert.mixing_artifacts import without_mix
from convert.preparation import Prepared
from convert.recipe import Artifact
from convert.versions import installed_versions
from targets.base import Layout


def identity(
    label: str, inputs: Inputs, item: Prepared, weighting: Mapping[str, str | int] | None = None
) -> Identity:
    """Everything that decides the bytes of an artifact, as JSON.

    The time of an input file stands in for its digest, which may not be known yet.

    Args:
        label: Name of the model.
        inputs: Its files.
        item: The artifact.
        weighting: What decides the moments that its scales are weighted with, if they are.
    """
    described = {
        "model": label,
        "files": inputs.states,
        "artifact": item.artifact.model_dump(mode="json", exclude={"gate"}),
        "versions": installed_versions(),
        "layout": _fingerprint(item.layout),
        "weighting": weighting,
        "imatrix": item.imatrix and item.imatrix.sha256,
        "smoothing": item.model.metadata_props.get("divided_inputs.divisors"),
    }
    return dict(json.loads(json.dumps(described)))


def go_on_or_begin(journal: Journal, folder: PendingFolder, now: Identity, inputs: Inputs) -> None:
    """Keep what a journal knows if this run makes the same, or begin anew if it knows nothing.

    Raises:
        ResumeError: The interrupted run was making something else.
        ChangedInputError: It was making the same from other files.
    """
    if journal.is_empty:
        folder.clear()
        journal.begin(now)
        return
    differing = list(_differences(journal.identity, now))
    touched = [line for line in differing if line.startswith("files.")]
    if len(touched) < len(differing):
        raise ResumeError(
            f"an interrupted run left something else in {folder.final.name}",
            expected="the same checkpoint, recipe and versions, to go on from there",
            found="; ".join(line for line in differing if line not in touched),
            remedy="repeat that run, or discard what it left with --restart",
        )
    if touched and journal.digest != inputs.record().digest:
        raise changed_input("; ".join(touched))


def hold_to_source(
    inputs: Inputs, journals: Iterable[Journal], finished: Mapping[str, Manifest]
) -> None:
    """Check, now that the digest is known, that everything was made of this checkpoint.

    Args:
        journals: Of what was written now, partly perhaps by an earlier run; they learn the digest.
        finished: Of what an earlier run had finished.

    Raises:
        ChangedInputError: The files changed meanwhile.
        OutputExistsError: A finished artifact is of another checkpoint.
    """
    inputs.require_unchanged()
    digest = inputs.record().digest
    for journal in journals:
        journal.settle(digest)
        if journal.digest != digest:
            raise changed_input(f"digest {digest}, {journal.digest} before")
    for name, manifest in finished.items():
        if manifest.source.digest != digest:
            raise OutputExistsError(
                f"{name} already exists, and was made from another checkpoint",
                remedy="remove it, or choose another --out",
            )


def finished_earlier(
    out: Path, artifacts: Sequence[Artifact], *, gate: bool
) -> dict[str, Manifest]:
    """By folder name: what an interrupted run of the same recipe had finished already.

    A run was interrupted if it left a folder of something in the making, be it empty.
    """
    if not any(partial_folder(out, one.folder).exists() for one in artifacts):
        return {}
    finished, status = {}, "passed" if gate else "unverified"
    for one in artifacts:
        if not (out / one.folder / MANIFEST_NAME).is_file():
            continue
        manifest = read_manifest(out / one.folder)
        if without_mix(manifest.recipe, one) == one and manifest.gate.status == status:
            finished[one.folder] = manifest
            shutil.rmtree(partial_folder(out, one.folder), ignore_errors=True)
    return finished


@contextmanager
def announcing_what_is_kept(
    out: Path, artifacts: Sequence[Artifact], say: Callable[[str], None]
) -> Iterator[None]:
    """Tell the user, when a run ends with an error, what another run can go on from."""
    try:
        yield
    except BaseException:
        kept = [one.folder for one in artifacts if _can_go_on(out, one.folder)]
        if kept:
            say(
                f"what was written of {', '.join(kept)} is kept: the same command goes on from "
                "there, or begins anew with --restart"
            )
        raise


def _can_go_on(out: Path, name: str) -> bool:
    journal = partial_folder(out, name) / JOURNAL_NAME
    return journal.exists() and not (out / name).exists()


def _fingerprint(layout: Layout) -> str:
    """One SHA-256 over the files, what is known of them already, and every job."""
    digest = hashlib.sha256()
    for file in layout.files:
        digest.update(f"{file.path} {file.size}\n".encode())
        for offset, data in file.segments:
            digest.update(f"{offset} {len(data)}\n".encode())
            digest.update(data)
    for job in layout.jobs:
        weight, order = job.weight, job.row_order
        digest.update(f"{weight.name} {weight.shape} {weight.dtype}\n".encode())
        digest.update(f"{job.encoding.name} {job.placements}\n".encode())
        digest.update(b"" if order is None else order.tobytes())
    return digest.hexdigest()


def _differences(before: Identity, now: Identity, prefix: str = "") -> Iterator[str]:
    """What differs, each as ``key.key: old, now new``."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: {old}, now {new}"
