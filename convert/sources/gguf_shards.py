"""Opens a GGUF that may be split into shards, as llama.cpp does: by the first one.

``split.count`` says how many there are, ``split.no`` which one a file is, counted from 0, and
``split.tensors.count`` how many tensors all hold together. The first carries all other metadata.
Names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section on shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from convert.errors import BadHeaderError, MissingFileError, UsageError
from convert.sources.gguf_file import GgufFile, GgufTensor, read_gguf

_NUMBERING = re.compile(r"-[0-9]{5}-of-[0-9]{5}$")
_MOST_SHARDS = (1 << 16) - 1  # the number is stored in 16 bits
_REMEDY = "download all shards again, from the same place, or split the model again"


def open_gguf(path: Path) -> GgufFile:
    """The header of a GGUF: metadata, and the tensors of all its shards; no weight is read.

    Args:
        path: The file; the first one of several shards.

    Raises:
        UsageError: It is a later shard.
        MissingFileError: It is not there, or another shard is not.
        BadHeaderError: Damaged, or a shard is not what its name says.
        BrokenInputError: See `read_gguf`.
    """
    first = read_gguf(path)
    count = first.value("split.count", int, 1) or 1
    if count == 1:
        return first
    _, *others = _names(first, count)
    shards = [first, *map(read_gguf, others)]
    for number, shard in enumerate(shards):
        _require_place(shard, number, count)
    return replace(first, tensors=_merged(shards))


def unnumbered(path: Path) -> str:
    """The name of a GGUF without suffix and number of the shard.

    >>> unnumbered(Path("model-00001-of-00003.gguf"))
    'model'
    """
    return _NUMBERING.sub("", path.stem) or path.stem


def _names(first: GgufFile, count: int) -> list[Path]:
    """Paths of all shards, which are known by their names alone."""
    path, number = first.path, first.value("split.no", int, 0) or 0
    if not 0 <= number < count <= _MOST_SHARDS:
        raise BadHeaderError(
            f"{path} claims to be shard {number + 1} of {count}",
            expected=f"one of at most {_MOST_SHARDS} shards",
            remedy=_REMEDY,
        )
    ending = _ending(number, count)
    if not path.name.endswith(ending):
        raise MissingFileError(
            f"{path} is one of {count} shards, and its name does not lead to the others",
            expected=f"a name that ends in {ending}",
            remedy="give the shards the names they were made with",
        )
    stem = path.name.removesuffix(ending)
    names = [path.with_name(stem + _ending(i, count)) for i in range(count)]
    if number != 0:
        raise UsageError(
            f"{path} is shard {number + 1} of {count}",
            expected="the first shard, which leads to the others",
            remedy=f"name {names[0]}",
        )
    missing = [each.name for each in names if not each.is_file()]
    if missing:
        raise MissingFileError(
            f"{len(missing)} of {count} shards are not beside {path}",
            expected=f"{missing[0]}{' and others' if missing[1:] else ''}",
            remedy="download all shards into the same folder",
        )
    return names


def _ending(number: int, count: int) -> str:
    return f"-{number + 1:05}-of-{count:05}.gguf"


def _require_place(shard: GgufFile, number: int, count: int) -> None:
    found = (shard.value("split.no", int), shard.value("split.count", int))
    if found != (number, count):
        raise BadHeaderError(
            f"{shard.path} is not the shard that its name says",
            expected=f"split.no {number}, split.count {count}",
            found=f"split.no {found[0]}, split.count {found[1]}",
            remedy=_REMEDY,
        )


def _merged(shards: Sequence[GgufFile]) -> dict[str, GgufTensor]:
    tensors: dict[str, GgufTensor] = {}
    for shard in shards:
        twice = tensors.keys() & shard.tensors.keys()
        if twice:
            raise BadHeaderError(
                f"{shard.path}: tensor {min(twice)!r} is in another shard too", remedy=_REMEDY
            )
        tensors |= shard.tensors
    expected = shards[0].value("split.tensors.count", int, len(tensors))
    if expected != len(tensors):
        raise BadHeaderError(
            f"the shards of {shards[0].path} are not of one model",
            expected=f"{expected} tensors in all",
            found=f"{len(tensors)}",
            remedy=_REMEDY,
        )
    return tensors
