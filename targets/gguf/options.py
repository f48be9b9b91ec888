"""The target's own settings: whether the file is split into shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.errors import UsageError
from convert.sizes import parse_size
from targets.option_names import refuse_unknown


@dataclass(frozen=True)
class Options:
    """How the artifact is cut into files.

    Args:
        split_max_size: Bytes of tensors in a shard at most, without its header; a larger tensor
            gets a shard of its own. None for a single file.
    """

    split_max_size: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Check the settings of a recipe; sizes are numbers of bytes, or texts such as ``2G``.

        Raises:
            UsageError: A setting is unknown or has a value it cannot have.
        """
        refuse_unknown("gguf", given, cls.__dataclass_fields__)
        return cls(_size(given.get("split_max_size")))


def _size(given: Any) -> int | None:
    if given is None:
        return None
    size = _parsed(given) if isinstance(given, str) else given
    if type(size) is not int or size < 1:
        raise UsageError(
            "split_max_size is not the size of a shard",
            expected="a size above zero, such as 2G or 500M (a G is a billion bytes)",
            found=repr(given),
            remedy="leave it out to get a single file",
        )
    return size


def _parsed(text: str) -> int | None:
    try:
        return parse_size(text)
    except UsageError:
        return None
