"""A data set on the Hugging Face hub, as far as it is kept as JSON Lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from convert.errors import UnsupportedError
from convert.sources.hub_errors import explained

_LINES = (".jsonl", ".ndjson")


def data_set_files(name: str) -> Iterator[Path]:
    """The files of a data set in order, each brought into the cache when it is asked for.

    Args:
        name: ``organisation/name``, or ``organisation/name:split``.

    Raises:
        UnavailableSourceError: The hub cannot be reached or has no such data set for us.
        UnsupportedError: It is kept in another form, or has no such split.
        DiskFullError: The cache has no room.
    """
    repository, _, split = name.partition(":")
    from huggingface_hub import HfApi, hf_hub_download

    try:
        commit = HfApi().dataset_info(repository)
        listed = [file.rfilename for file in commit.siblings or ()]
    except Exception as error:
        raise explained(error, f"data set {repository!r}", kind="data set") from error
    for file in _chosen(listed, repository, split):
        try:
            path = hf_hub_download(repository, file, repo_type="dataset", revision=commit.sha)
        except Exception as error:
            raise explained(error, f"{file!r} of {repository!r}", kind="data set") from error
        yield Path(path)


def _chosen(listed: Sequence[str], repository: str, split: str) -> list[str]:
    """The files of a split; all there are if no split is asked for and there are no others."""
    lines = sorted(file for file in listed if file.endswith(_LINES))
    splits = {file: _words(file) for file in lines}
    chosen = [file for file in lines if (split or "train") in splits[file]]
    if not chosen and not split and len(lines) == 1:
        chosen = lines
    if not chosen:
        wanted = split or "train"
        raise UnsupportedError(
            f"the data set {repository!r} has no JSON Lines of a split {wanted!r}",
            expected="files of its name that end in .jsonl",
            found=", ".join(sorted(listed)[:5]) or "no files",
            remedy='save it as a file: python -c "from datasets import load_dataset; '
            f"load_dataset('{repository}', split='{wanted}').to_json('texts.jsonl')\"",
        )
    return chosen


def _words(file: str) -> set[str]:
    """What a path is made of, as ``data/train-00000-of-00002.jsonl`` of train and more."""
    return set(re.split(r"[/._-]", file))
