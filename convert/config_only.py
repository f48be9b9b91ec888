"""A model's config.json by itself: all that planning needs, and a few kilobytes of a hub model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import MissingFileError, UnavailableSourceError, UsageError
from convert.sources.hub_urls import hub_id
from convert.sources.object_storage_urls import checked_url, is_object_url
from convert.sources.shards import read_json_object

_CONFIG = "config.json"
_LARGEST = 16 << 20


@dataclass(frozen=True)
class NamedConfig:
    """What a model's config.json says, and what the model is called.

    Args:
        label: For people; never a path.
        raw: config.json as it is.
    """

    label: str
    raw: Mapping[str, Any]


def read_config(source: str, *, revision: str | None = None) -> NamedConfig:
    """Read the config of a folder, a config.json, or a hub id; a path that exists wins.

    Args:
        source: A path, ``organisation/name`` on the hub, or the URL of a folder in object storage.
        revision: Branch, tag or commit on the hub.

    Raises:
        UsageError: A revision is given for something local.
        UnavailableSourceError: No such path, and no such hub id or no connection.
        BrokenInputError: There is no config.json, or it is no JSON object.
    """
    if is_object_url(source):
        return _in_storage(source, revision)
    path = Path(source).expanduser()
    if revision is not None and path.exists():
        raise UsageError(
            f"{source} is on this machine, so it has no revision",
            found=f"revision {revision!r}",
            remedy="drop the revision, or name the model on the hub",
        )
    if path.is_dir():
        return NamedConfig(path.resolve().name, read_json_object(path / "config.json"))
    if path.is_file():
        return NamedConfig(_name_of(path), read_json_object(path))
    source, revision = hub_id(source, revision)
    if path.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
        raise UnavailableSourceError(
            f"nothing at {source!r}",
            expected="a folder, a config.json, or a hub id such as organisation/name",
            remedy="check the path",
        )
    return NamedConfig(source, read_json_object(_fetch(source, revision)))


def _in_storage(source: str, revision: str | None) -> NamedConfig:
    from convert.sources.object_storage import ObjectFolder

    url, name = checked_url(source)
    if revision is not None:
        raise UsageError(
            f"{url} is in object storage, so it has no revision",
            found=f"revision {revision!r}",
            remedy="drop the revision, or name the model on the hub",
        )
    folder = ObjectFolder(url)
    stored = folder.objects.get(_CONFIG)
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        path = Path(scratch) / _CONFIG
        if stored is None or stored.size > _LARGEST:
            raise MissingFileError(
                f"{url}/{_CONFIG} is missing"
                if stored is None
                else f"{url}/{_CONFIG} is too large",
                expected=f"a file of at most {_LARGEST:,} bytes, right below that folder",
                remedy="check the name, and that the whole checkpoint is there",
            )
        path.write_bytes(folder.read(_CONFIG, 0, stored.size))
        return NamedConfig(name, read_json_object(path))


def _name_of(path: Path) -> str:
    """A config.json is called after its folder, any other file after itself."""
    resolved = path.resolve()
    return resolved.parent.name if resolved.name == "config.json" else resolved.stem


def _fetch(name: str, revision: str | None) -> Path:
    from convert.sources.hub_errors import explained

    try:
        return _from_hub(name, revision)
    except Exception as error:
        problem = explained(error, f"config.json of {name!r}")
        if isinstance(problem, UnavailableSourceError):
            problem.found = f"no folder of that name here; {problem.found}"
        raise problem from error


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # Asked once: to download what is not here yet, the hub's client asks for half a minute.
        get_hf_file_metadata(hf_hub_url(name, _CONFIG, revision=revision))
    except HfHubHTTPError:
        pass  # there is a hub, and what it says is the client's to judge
    except Exception as error:
        try:
            return Path(hf_hub_download(name, _CONFIG, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
    return Path(hf_hub_download(name, _CONFIG, revision=revision))
