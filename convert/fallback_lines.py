"""Which tensors are not stored as asked, every one of them, in few lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from passes.quantize import TensorCoverage

_NUMBER = re.compile(r"\.(\d+)\.")


def fallback_lines(tensors: Iterable[TensorCoverage]) -> list[str]:
    """A line for each kind of tensor that fell back; numbers of layers are drawn together.

    For example ``model.layers.0-29.mlp.up_proj.weight: int4_g64, because int4 does not fit
    rows of 576 weights``.
    """
    layers: dict[tuple[str, str, str], list[int]] = {}
    for tensor in tensors:
        if tensor.fallback is not None:
            found = _NUMBER.search(tensor.name)
            kind = _NUMBER.sub(".{}.", tensor.name, count=1)
            numbers = layers.setdefault((kind, tensor.encoding, tensor.fallback), [])
            numbers += [int(found[1])] if found else []
    return [
        f"{kind.replace('{}', _ranges(numbers))}: {stored}, because {reason}"
        for (kind, stored, reason), numbers in layers.items()
    ]


def _ranges(numbers: list[int]) -> str:
    """``[0, 1, 2, 5]`` as ``0-2,5``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, each)) for each in ranges)
