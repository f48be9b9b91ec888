"""`convert pull`: an artifact comes back, and gets its name when it is what its manifest says."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from convert.errors import (
    BrokenInputError,
    DiskFullError,
    MissingFileError,
    OutputBusyError,
    OutputExistsError,
    VerificationError,
)
from convert.hashing import hash_file
from convert.manifest import COMPANIONS, MANIFEST_NAME, Manifest, read_manifest
from convert.progress import Reporter
from convert.publishing.sources import PublishedArtifact

_MANIFEST_LIMIT = 64 << 20


def pull(source: PublishedArtifact, where: str, out: Path, reporter: Reporter) -> Manifest:
    """Fetch an artifact into a new folder.

    What has come is kept in ``.NAME.partial`` beside it if the call breaks off, and a later call
    goes on with it.

    Args:
        source: Of the artifact.
        where: What the source is called.
        out: The folder; it must be new.
        reporter: Told of the bytes that come.

    Raises:
        OutputExistsError: ``out`` is already there.
        OutputBusyError: Another call is fetching it.
        UnavailableSourceError: The place does not give it.
        MissingFileError: There is no artifact there.
        VerificationError: What came is not what its manifest says.
        DiskFullError: It does not fit on the disk.
    """
    _require_absent(out)
    work = out.with_name(f".{out.name}.partial")
    work.mkdir(parents=True, exist_ok=True)
    with _only_us(work, out):
        sizes = source.files()
        manifest = _manifest(source, sizes, where, work)
        _fetch(source, sizes, manifest, where, work, reporter)
        source.tidy(work)
        _verify(work, out, where, reporter)
        _require_absent(out)
        work.rename(out)
    return manifest


def _manifest(
    source: PublishedArtifact, sizes: Mapping[str, int | None], where: str, work: Path
) -> Manifest:
    size = sizes.get(MANIFEST_NAME, -1)
    if size == -1:
        raise MissingFileError(
            f"{where} holds no artifact of `convert run`", expected=f"a {MANIFEST_NAME}"
        )
    if size is not None and size > _MANIFEST_LIMIT:
        raise BrokenInputError(
            f"the {MANIFEST_NAME} of {where} is larger than any", found=f"{size}"
        )
    (work / MANIFEST_NAME).unlink(missing_ok=True)  # it may be that of another day
    source.fetch(MANIFEST_NAME, work, lambda count: None)
    return read_manifest(work)


def _fetch(
    source: PublishedArtifact,
    sizes: Mapping[str, int | None],
    manifest: Manifest,
    where: str,
    work: Path,
    reporter: Reporter,
) -> None:
    recorded = {record.path: record for record in manifest.files}
    if missing := sorted(recorded.keys() - sizes.keys()):
        raise VerificationError(
            f"{where} is not what its manifest says",
            expected=f"{len(recorded)} files",
            found="; ".join(f"{name} is missing" for name in missing),
            remedy="publish it again, or get it elsewhere",
        )
    wanted = [*recorded, *sorted((COMPANIONS & sizes.keys()) - recorded.keys() - {MANIFEST_NAME})]
    _discard_others(work, {*wanted, MANIFEST_NAME})
    coming = [
        name
        for name in wanted
        if name not in recorded
        or not (work / name).is_file()
        or hash_file(work, work / name) != recorded[name]
    ]
    total = sum(recorded[name].size if name in recorded else sizes[name] or 0 for name in coming)
    _require_room(work, total)
    with reporter.transfer(f"fetch {where}", total) as advance:
        for name in coming:
            (work / name).unlink(missing_ok=True)
            source.fetch(name, work, advance)


def _verify(work: Path, out: Path, where: str, reporter: Reporter) -> None:
    from convert.provenance.checking import check_artifact

    try:
        with reporter.stage("check the files"):
            reporter.say(f"  {check_artifact(work).line()}")
    except VerificationError as error:
        raise VerificationError(
            f"what came from {where} is not what its manifest says",
            expected=error.expected,
            found=error.found,
            remedy=f"nothing was put at {out}; get the artifact elsewhere",
        ) from error


def _discard_others(work: Path, wanted: set[str]) -> None:
    """Remove what an earlier call left of another artifact; parts of wanted files stay."""
    for path in work.rglob("*"):
        name = path.relative_to(work).as_posix()
        if name.startswith(".cache/") or path.is_dir():
            continue
        if name.removesuffix(".incomplete") not in wanted:
            path.unlink()


def _require_room(folder: Path, nbytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise DiskFullError(
            f"the disk of {folder.parent} has no room for the artifact",
            expected=f"{nbytes:,} bytes",
            found=f"{free:,} bytes",
            remedy="free some space, or choose a folder on another disk",
        )


def _require_absent(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise OutputExistsError(
            f"{out} already exists",
            expected="a new folder; nothing is ever overwritten",
            remedy="remove it, or choose another",
        )


@contextmanager
def _only_us(work: Path, out: Path) -> Iterator[None]:
    handle = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputBusyError(
                f"another call is fetching {out}", remedy="wait for it, or choose another folder"
            ) from None
        yield
    finally:
        os.close(handle)
