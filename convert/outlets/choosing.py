"""Which outlet the name of an output means, and where its artifacts are made."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.cache_folder import cache_folder
from convert.errors import UsageError
from convert.outlets.base import Here, Outlet
from convert.sources.object_copies import copy_object
from convert.sources.object_storage_urls import checked_url, is_object_url

_FETCHED = ".inputs"
_HUB = "hf://"
_EXPECTED = "a folder, or s3://, gs://, az:// or hf://ORGANISATION/NAME"


@dataclass(frozen=True)
class Output:
    """Where artifacts are made and where they go.

    Args:
        folder: On this machine.
        outlet: What takes them from there.
    """

    folder: Path
    outlet: Outlet

    def file(self, given: str | Path | None) -> str | None:
        """The path of a file that is given by path or by URL; one of the latter is copied here.

        Raises:
            UnavailableSourceError: It is not there, or not for us.
            DiskFullError: There is no room for it.
        """
        if given is None or not is_object_url(str(given)):
            return None if given is None else str(given)
        return str(copy_object(str(given), self.folder / _FETCHED))


@contextmanager
def output(
    out: str | Path, staging: str | Path | None = None, *, gate: bool = True
) -> Iterator[Output]:
    """The output that a name means; what was copied for the run goes with it.

    Args:
        out: A folder, or the URL of a place elsewhere.
        staging: Folder below which artifacts for such a place are made; None takes one in the
            user's cache folder. Of the same two a restarted run finds what is made already.
        gate: Whether the artifacts will be compared with the original.

    Raises:
        UsageError: The name means nothing, or a place that takes only what was compared.
    """
    found = output_of(out, staging)
    if str(out).startswith(_HUB) and not gate:
        raise UsageError(
            f"{out} takes what has passed its gate",
            remedy="drop --no-gate, or convert to a folder, then `convert publish --force`",
        )
    try:
        yield found
    finally:
        shutil.rmtree(found.folder / _FETCHED, ignore_errors=True)


def output_of(out: str | Path, staging: str | Path | None = None) -> Output:
    """See `output`."""
    name = str(out)
    if isinstance(out, Path) and out.parts[:1] and out.parts[0].endswith(":"):
        raise UsageError(
            f"{name!r} is a URL that was made a path", remedy="give it as a text instead"
        )
    if is_object_url(name):
        url, _ = checked_url(name)
        return Output(staged(url, staging), _object_outlet(url))
    if name.startswith(_HUB):
        from convert.outlets.hub_outlet import HubOutlet

        return Output(staged(name, staging), HubOutlet(name))
    if "://" in name:
        raise UsageError(
            f"nothing can be written to {name.partition('://')[0]}://",
            expected=_EXPECTED,
            remedy="convert to a folder, then `convert publish`, which knows more places",
        )
    if staging is not None:
        raise UsageError(
            "--staging is for an output elsewhere",
            expected="s3://, gs://, az:// or hf:// as --out",
            found=f"--out {name}",
        )
    return Output(Path(out), Here())


def staged(url: str, staging: str | Path | None = None) -> Path:
    """The folder that artifacts for a URL are made in; always the same for the same URL."""
    below = cache_folder() / "staging" if staging is None else Path(staging)
    name = url.rstrip("/").rpartition("/")[2]
    return below / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _object_outlet(url: str) -> Outlet:
    from convert.outlets.object_outlet import ObjectOutlet

    if url.startswith("s3://"):
        from convert.outlets.s3 import S3Storage

        return ObjectOutlet(S3Storage(url))
    from convert.outlets.whole_objects import WholeObjects

    return ObjectOutlet(WholeObjects(url))
