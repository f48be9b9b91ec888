"""Downloads the files of a checkpoint that matter from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from convert.errors import UnavailableSourceError

_TEXT_FILES = ("*.json", "*.txt", "*.jinja", "tokenizer.model", "*.tiktoken")
_SAFETENSORS = "*.safetensors"
_PICKLES = "pytorch_model*.bin"
# Subfolders hold other formats and training state.
_NEVER = ("*.py", "*/*")


def download(name: str, revision: str | None = None) -> tuple[Path, str]:
    """Fetch a checkpoint into the hub's cache: configuration, tokenizer and weights, no code.

    The commit that ``revision`` means is resolved first, and that commit is downloaded.

    Args:
        name: ``organisation/name``.
        revision: Branch, tag or commit; the main branch otherwise.

    Returns:
        The folder, and the commit.

    Raises:
        UnavailableSourceError: The hub cannot be reached or knows no such checkpoint.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=False)
        commit = str(info.sha)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        has_safetensors = any(file.endswith(".safetensors") and "/" not in file for file in files)
        folder = snapshot_download(
            name,
            revision=commit,
            allow_patterns=[*_TEXT_FILES, _SAFETENSORS if has_safetensors else _PICKLES],
            ignore_patterns=list(_NEVER),
        )
    except HFValidationError as error:
        raise _unavailable(name, revision, str(error)) from error
    except Exception as error:
        # The hub's client passes on whatever its transport raises, another in every release.
        cached = _from_cache(name, revision)
        if cached is not None:
            return cached
        raise _unavailable(name, revision, f"{type(error).__name__}: {error}") from error
    return Path(folder), commit


def _from_cache(name: str, revision: str | None) -> tuple[Path, str] | None:
    """The checkpoint as it lies in the cache, if an earlier download completed there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return folder, folder.name


def _unavailable(name: str, revision: str | None, found: str) -> UnavailableSourceError:
    return UnavailableSourceError(
        f"the hub has no checkpoint {name!r} for us" + (f" at {revision!r}" if revision else ""),
        expected="a model on the hub, a connection to it, or a folder of that name",
        found=found.splitlines()[0][:200],
        remedy="check the name and the connection; offline, pass the path of a downloaded copy; "
        "for a gated model, log in with `hf auth login` first",
    )
