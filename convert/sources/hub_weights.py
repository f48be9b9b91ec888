"""Weights of a hub checkpoint: known by their headers, read while other shards arrive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from convert.errors import BadHeaderError, DiskFullError, TricastError
from convert.hashing import in_background
from convert.sources import safetensors_files
from convert.sources.downloads import Advance, ArrivingWeight, Downloads
from convert.sources.hub import Snapshot
from convert.sources.hub_errors import MAKE_ROOM, explained
from convert.sources.remote_header import read_remote_header
from convert.sources.safetensors_files import SafetensorsHeader, read_header
from convert.sources.silent_bar import silent_bar
from convert.weights import FileWeight, Weight

_HEADERS_AT_ONCE = 8


def open_weights(
    snapshot: Snapshot, files: Mapping[str, tuple[str, ...]], skip: Callable[[str], bool]
) -> tuple[dict[str, Weight], Downloads]:
    """Every tensor of the files, and the downloads that those which are not there wait for.

    Args:
        snapshot: Where they are.
        files: As `safetensors_files.find_files` finds them; downloaded in this order.
        skip: Names of tensors to leave out.

    Raises:
        DiskFullError: The cache has no room for them.
        TricastError: As `safetensors_files.open_weights` and `open_snapshot`.
    """
    coming = {
        snapshot.folder / file: snapshot.coming[file] for file in files if file in snapshot.coming
    }
    _require_room(snapshot, coming)
    announced = _announced(snapshot, coming)
    weights = safetensors_files.open_weights(
        snapshot.folder, files, skip, lambda path: announced.get(path) or read_header(path)
    )

    def fetch(path: Path, advance: Advance) -> None:
        _fetch_file(snapshot, path, advance)
        _require_as_announced(path, announced[path])

    downloads = Downloads(coming, fetch)
    return {name: _arriving(weight, downloads) for name, weight in weights.items()}, downloads


def _require_room(snapshot: Snapshot, sizes: Mapping[Path, int]) -> None:
    free = shutil.disk_usage(snapshot.folder).free
    if sum(sizes.values()) <= free:
        return
    # What is the same in another commit is in the cache, and is not downloaded again.
    needed = sum(size for path, size in sizes.items() if _will_download(snapshot, path))
    if needed > free:
        raise DiskFullError(
            f"the disk of the hub's cache has no room for {snapshot.name!r}",
            expected=f"{needed:,} bytes free, to download its weights",
            found=f"{free:,} bytes free",
            remedy=MAKE_ROOM,
        )


def _will_download(snapshot: Snapshot, path: Path) -> bool:
    from huggingface_hub import hf_hub_download

    try:
        known = hf_hub_download(snapshot.name, path.name, revision=snapshot.commit, dry_run=True)
    except Exception as error:
        raise explained(error, f"{path.name} of {snapshot.name!r}") from error
    return known.will_download


def _arriving(weight: Weight, downloads: Downloads) -> Weight:
    if not isinstance(weight, FileWeight) or weight.path not in downloads.sizes:
        return weight
    return ArrivingWeight(
        weight.name, weight.shape, weight.dtype, weight.path, weight.offset, downloads
    )


def _announced(snapshot: Snapshot, sizes: Mapping[Path, int]) -> dict[Path, SafetensorsHeader]:
    """The headers of files that are not here."""

    def read(path: Path) -> SafetensorsHeader:
        try:
            return read_remote_header(snapshot.name, snapshot.commit, path, sizes[path])
        except Exception as error:
            raise explained(error, f"{path.name} of {snapshot.name!r}") from error

    paths = list(sizes)
    headers: dict[Path, SafetensorsHeader] = {}
    for first in range(0, len(paths), _HEADERS_AT_ONCE):
        batch = paths[first : first + _HEADERS_AT_ONCE]
        waits = [in_background(read, path) for path in batch]
        headers |= {path: wait() for path, wait in zip(batch, waits, strict=True)}
    return headers


def _fetch_file(snapshot: Snapshot, path: Path, advance: Advance) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(
            snapshot.name, path.name, revision=snapshot.commit, tqdm_class=silent_bar(advance)
        )
    except Exception as error:
        raise explained(error, f"{path.name} of {snapshot.name!r}") from error


def _require_as_announced(path: Path, announced: SafetensorsHeader) -> None:
    try:
        found: object = read_header(path)
    except TricastError as error:
        found = error.what
    if found != announced:
        raise BadHeaderError(
            f"{path.name} is not the file that the hub announced",
            expected=f"the header that was read from the hub, of {len(announced.tensors)} tensors",
            found=found if isinstance(found, str) else "another header",
            remedy=f"remove {path.resolve()} and run the same command again",
        )
