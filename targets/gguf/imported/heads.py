"""Which rows of which layers are queries, keys and values, and what happens on their way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.importing.raising.patterns import scalar_of
from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.linears import Linear, sources

NORMS = ("RMSNormalization", "LayerNormalization")
ROTARY = "RotaryEmbedding"
LIMITS = ("Max", "Min")


@dataclass(frozen=True, eq=False)
class Heads:
    """Queries, keys or values of a layer.

    Args:
        linear: The layer that makes them, perhaps among others.
        rows: Its rows, i64 ``[heads, head size]``.
        way: Kinds of operators between the layer and the attention, from the layer on.
        rotary: The node that rotates them.
        limits: Numbers that they are clamped by.
        rotated_from: Place in a head of the first element that is rotated.
    """

    linear: Linear
    rows: NDArray[np.int64]
    way: tuple[str, ...]
    rotary: ir.Node | None
    limits: tuple[float, ...]
    rotated_from: int = 0


def heads_of(value: ir.Value, by_output: Mapping[ir.Value, Linear]) -> Heads:
    """Where the heads that an attention reads come from.

    Raises:
        NotComputableError: They are not the rows of one layer, moved about.
    """
    met: list[ir.Node] = []

    def passed(node: ir.Node) -> bool:
        kept = node.op_type in (*NORMS, ROTARY) or _limit(node) is not None
        if kept and node not in met:
            met.append(node)
        return kept

    made = sources(value, by_output, stops=lambda node: node.op_type == "Attention")
    if len(made) != 1:
        raise NotComputableError(f"{value.name} of {', '.join(sorted(made)) or 'no layer'}")
    (linear,) = made.values()
    rows = np.arange(linear.rows, dtype=np.int64).reshape(1, 1, -1)
    found = evaluated(value, {linear.y: rows}, passed=passed)
    if found.ndim != 4 or found.shape[0] != 1 or found.shape[2] != 1:
        raise NotComputableError(f"{value.name} of shape {found.shape}")
    ordered = met[::-1]
    limits = tuple(limit for node in ordered if (limit := _limit(node)) is not None)
    rotary = next((node for node in ordered if node.op_type == ROTARY), None)
    heads = found[0, :, 0].astype(np.int64)
    start = 0
    if rotary is not None:
        read = rotary.inputs[0]
        assert read is not None
        turned = evaluated(read, {linear.y: rows}, passed=passed)
        start = _place(heads, turned.reshape(-1).astype(np.int64))
    return Heads(linear, heads, tuple(node.op_type for node in ordered), rotary, limits, start)


def _place(heads: NDArray[np.int64], turned: NDArray[np.int64]) -> int:
    """Where in a head those rows begin that are rotated.

    Args:
        heads: Rows ``[heads, head size]``.
        turned: Rows that are rotated, those of all heads.

    Raises:
        NotComputableError: They lie differently in each.
    """
    size = len(turned) // len(heads)
    for start in range(heads.shape[1] - size + 1):
        if np.array_equal(np.sort(heads[:, start : start + size], axis=None), np.sort(turned)):
            return start
    raise NotComputableError("elements that are rotated here and there in a head")


def without_repeats(heads: Heads) -> Heads:
    """Each head of keys or values once, where a graph repeats it for a group of queries."""
    rows = heads.rows
    first = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    own = rows[first]
    times, left = divmod(len(rows), len(own))
    if left or not np.array_equal(np.repeat(own, times, axis=0), rows):
        return heads
    return replace(heads, rows=own)


def _limit(node: ir.Node) -> float | None:
    if node.op_type not in LIMITS or len(node.inputs) != 2:
        return None
    return scalar_of(node.inputs[1])
