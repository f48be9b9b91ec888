"""Files in object storage that are copied to this machine as they are, by ranges."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from convert.errors import DiskFullError, UnavailableSourceError, UsageError
from convert.sources.object_storage import ObjectFolder, open_store
from convert.sources.object_storage_errors import explained
from convert.sources.object_storage_urls import checked_url, is_object_url
from convert.sources.object_storage_windows import WINDOW_BYTES


def copy_object(url: str, folder: Path) -> Path:
    """Copy one object into a folder, which is made if need be; the path of the copy.

    Raises:
        UsageError: That names no object.
        UnavailableSourceError: It is not there, or not for us.
        DiskFullError: There is no room for it.
    """
    url, name = checked_url(url)
    place = url.rpartition("/")[0]
    try:
        place, _ = checked_url(place)
    except UsageError:
        raise UsageError(f"{url} names no file", expected="s3://bucket/folder/file") from None
    source = ObjectFolder(place)
    if name not in source.objects:
        raise UnavailableSourceError(
            f"there is no {url}", expected=f"{name} in {place}", remedy="check the name"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _copy(source, name, folder / name)
    return folder / name


def copy_objects(url: str, folder: Path) -> Path:
    """Copy a folder and all folders below it into a new folder; the path of the copy.

    Raises:
        TricastError: As `copy_object`.
    """
    import obstore

    url, label = checked_url(url)
    try:
        pages = list(obstore.list(open_store(url)))
    except Exception as error:
        raise explained(error, url) from None
    names = sorted(str(each["path"]) for page in pages for each in page)
    if not names:
        raise UnavailableSourceError(f"there is nothing in {url}", remedy="check the name")
    sources: dict[str, ObjectFolder] = {}
    for path in names:
        below, _, name = path.rpartition("/")
        if ".." in path.split("/"):
            raise UnavailableSourceError(f"{url} holds an unsafe name: {path!r}")
        if below not in sources:
            sources[below] = ObjectFolder(f"{url}/{below}" if below else url)
        (folder / label / below).mkdir(parents=True, exist_ok=True)
        _copy(sources[below], name, folder / label / path)
    return folder / label


@contextmanager
def folder_here(place: str | Path) -> Iterator[Path]:
    """A folder that may be in object storage: itself, or a copy that goes with the context.

    Raises:
        TricastError: As `copy_object`.
    """
    if not is_object_url(str(place)):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        yield copy_objects(str(place), Path(scratch))


@contextmanager
def file_here(place: str | Path | None) -> Iterator[Path | None]:
    """As `folder_here`, of a file, or of none."""
    if place is None or not is_object_url(str(place)):
        yield None if place is None else Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        yield copy_object(str(place), Path(scratch))


def _copy(source: ObjectFolder, name: str, path: Path) -> None:
    size, free = source.objects[name].size, shutil.disk_usage(path.parent).free
    if size > free:
        raise DiskFullError(
            f"the disk has no room for a copy of {source.url}/{name}",
            expected=f"{size:,} bytes free",
            found=f"{free:,} bytes free",
            remedy="free some space",
        )
    with path.open("wb") as file:
        for start in range(0, size, WINDOW_BYTES):
            file.write(source.read(name, start, min(size, start + WINDOW_BYTES)))
