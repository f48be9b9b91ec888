"""A checkpoint on the Hugging Face hub: its commit, its small files, and which are to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.errors import MissingFileError
from convert.sources import safetensors_files, torch_files
from convert.sources.hub_errors import explained
from convert.sources.silent_bar import silent_bar

TEXT_FILES = ("*.json", "*.txt", "*.jinja", "tokenizer.model", "*.tiktoken")
_PICKLES = "pytorch_model*.bin"
# Subfolders hold other formats and training state.
_NEVER = ("*.py", "*/*")


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint at one commit, in the hub's cache: all but the safetensors is there.

    Args:
        name: ``organisation/name``.
        commit: What the revision meant when it was asked for.
        folder: In the cache.
        coming: Safetensors that are not in the cache, and their sizes in bytes.
    """

    name: str
    commit: str
    folder: Path
    coming: Mapping[str, int]


def open_snapshot(name: str, revision: str | None = None) -> Snapshot:
    """Settle the commit; fetch configuration, index and tokenizer into the cache, but no code.

    Pickles are fetched too where there are no safetensors: they have no header to begin with.
    Without a connection, what an earlier run brought is used, if it is all there.

    Args:
        name: ``organisation/name``.
        revision: Branch, tag or commit; the main branch otherwise.

    Raises:
        UnavailableSourceError: The hub cannot be reached or has no such checkpoint for us.
        DiskFullError: The cache has no room.
    """
    wanted = f"{name!r}" + (f" at {revision!r}" if revision else "")
    try:
        folder = _fetch_matching(name, revision, TEXT_FILES)
        try:
            sizes = _sizes(name, folder.name)
        except Exception:
            if not _is_whole(folder):
                raise
            sizes = {}
        if sizes and not any(_is_safetensors(file) for file in sizes):
            _fetch_matching(name, folder.name, (_PICKLES,))
    except Exception as error:
        raise explained(error, wanted) from error
    coming = {
        file: size
        for file, size in sizes.items()
        if _is_safetensors(file) and not (folder / file).is_file()
    }
    return Snapshot(name, folder.name, folder, coming)


def _fetch_matching(name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Fetch small files at once; the folder is named by the commit."""
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(_NEVER),
            tqdm_class=silent_bar(lambda count: None),
        )
    )


def _sizes(name: str, commit: str) -> dict[str, int]:
    from huggingface_hub import HfApi, constants

    info = HfApi().model_info(
        name, revision=commit, files_metadata=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
    )
    return {file.rfilename: file.size or 0 for file in info.siblings or ()}


def _is_safetensors(file: str) -> bool:
    return file.endswith(".safetensors") and "/" not in file


def _is_whole(folder: Path) -> bool:
    """Whether the weights that a folder's index names are all there."""
    try:
        found = safetensors_files.find_files(folder) or torch_files.find_files(folder)
    except MissingFileError:
        return False
    return found is not None
