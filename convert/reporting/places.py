"""Where a tensor belongs, told from its name: a layer, and what it is in that layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NORMS = "norms, biases"
_SUFFIX = ".weight"


class Place(NamedTuple):
    """``layer`` is None for what is in no layer; tensors of one ``kind`` are alike in all."""

    layer: int | None
    kind: str


def place(name: str) -> Place:
    """The place of a tensor: ``model.layers.3.mlp.up_proj.weight`` is ``mlp.up_proj`` of layer 3.

    The first number in a name is the layer's; others number alike things, such as experts.
    """
    parts = name.removesuffix(_SUFFIX).split(".")
    numbers = [at for at, part in enumerate(parts) if part.isascii() and part.isdecimal()]
    if not numbers or numbers[0] == len(parts) - 1:
        return Place(None, ".".join(parts))
    first = numbers[0]
    inner = ["*" if at in numbers else part for at, part in enumerate(parts)][first + 1 :]
    return Place(int(parts[first]), ".".join(inner))


def kinds(places: Iterable[Place]) -> tuple[str, ...]:
    """The kinds in the order in which they first come."""
    return tuple(dict.fromkeys(one.kind for one in places))
