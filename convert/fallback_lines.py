"""Which tensors are not stored as asked, every one of them, in few lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from passes.quantize import TensorCoverage

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def fallback_lines(tensors: Iterable[TensorCoverage]) -> list[str]:
    """A line for each kind of tensor that fell back; numbers of layers, and of experts of the same
    layers, are drawn together.

    For example ``model.layers.0-29.mlp.up_proj.weight: int4_g64, because int4 does not fit
    rows of 576 weights``.
    """
    found: dict[tuple[str, str, str], dict[tuple[int, ...], list[int]]] = {}
    for tensor in tensors:
        if tensor.fallback is not None:
            first, *others = [int(number) for number in _NUMBER.findall(tensor.name)] or [-1]
            kind = (_NUMBER.sub("{}", tensor.name), tensor.encoding, tensor.fallback)
            found.setdefault(kind, {}).setdefault(tuple(others), []).append(first)
    return [
        f"{name}: {stored}, because {reason}"
        for (kind, stored, reason), layers in found.items()
        for name in _names(kind, layers)
    ]


def _names(kind: str, layers: Mapping[tuple[int, ...], list[int]]) -> list[str]:
    """Names with ranges of numbers in the places of the braces.

    Args:
        kind: The name with braces.
        layers: First numbers of the names by all others, of which the last are drawn together, too.
    """
    together: dict[tuple[str, ...], list[int]] = {}
    for others, firsts in layers.items():
        *middle, last = others or (-1,)
        together.setdefault((_ranges(firsts), *map(str, middle)), []).append(last)
    return [kind.format(*shown, _ranges(lasts)) for shown, lasts in together.items()]


def _ranges(numbers: list[int]) -> str:
    """``[0, 1, 2, 5]`` as ``0-2,5``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, each)) for each in ranges)
