"""A mix as lines for a terminal: each kind of weight, and which layers have which encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mixed:
    """How a mix stores one weight.

    Args:
        name: Of the weight.
        encoding: Name.
        elements: How many weights it has.
        nbytes: Of all of them.
        kld: What this alone costs, as predicted: mean KL divergence in nats.
    """

    name: str
    encoding: str
    elements: int
    nbytes: int
    kld: float


def table(weights: Sequence[Mixed]) -> list[str]:
    """A line for each kind of weight, in their order, wrapped where there are many ranges."""
    kinds: dict[str, list[tuple[int | None, Mixed]]] = {}
    for weight in weights:
        kind, layer = kind_and_layer(weight.name)
        kinds.setdefault(kind, []).append((layer, weight))
    rows = [("weight", "bits", "KL", "encoding (layers)")]
    rows += [_row(kind, members) for kind, members in kinds.items()]
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"  {row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}  {row[3]}" for row in rows
    ]


def kind_and_layer(name: str) -> tuple[str, int | None]:
    """A weight's name without the number of its layer, and that number, if it has one."""
    short = name.removesuffix(".weight")
    match = re.search(r"(?:^|\.)(\d+)\.", short)
    return (short, None) if match is None else (short[match.end() :], int(match[1]))


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in ascending order, such as ``0-3,5``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def _row(kind: str, members: Sequence[tuple[int | None, Mixed]]) -> tuple[str, str, str, str]:
    by_encoding: dict[str, list[int | None]] = {}
    for layer, weight in members:
        by_encoding.setdefault(weight.encoding, []).append(layer)
    parts = []
    for encoding, layers in sorted(by_encoding.items(), key=lambda item: -len(item[1])):
        numbers = [layer for layer in layers if layer is not None]
        everywhere = len(by_encoding) == 1 or not numbers
        parts.append(encoding if everywhere else f"{encoding} ({ranges(numbers)})")
    bits = 8 * sum(w.nbytes for _, w in members) / sum(w.elements for _, w in members)
    return kind, f"{bits:.2f}", f"{sum(w.kld for _, w in members):.4f}", ", ".join(parts)
