"""What a file holds, for people: its tensors by name, and its metadata. No weight is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN_ITEMS = 8


@dataclass(frozen=True)
class TensorInfo:
    """One stored tensor.

    Args:
        encoding: As the format calls it, in lower case: ``bf16``, ``q4_0``, ``u4``.
        nbytes: Bytes stored.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Listing:
    """The tensors of a file or folder, in its order, and its metadata."""

    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def abridged(value: Any) -> Any:
    """A metadata value that JSON can hold; a long array becomes its length and first items."""
    items = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(items, list) and len(items) > _SHOWN_ITEMS:
        return {"items": len(items), "first": items[:_SHOWN_ITEMS]}
    return items
