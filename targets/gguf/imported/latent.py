"""Latent attention: keys and values that are made of one short vector, and what heads share.

    c ‖ r = W_a x,  k_h = W_k,h norm(c) ‖ rotated(r),  v_h = W_v,h norm(c)

DeepSeek-V2, section 2.1 (arXiv:2405.04434). Both matrices of all heads are one layer of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.heads import NORMS, ROTARY, Heads, heads_of, without_repeats
from targets.gguf.imported.linears import Linear, sources


@dataclass(frozen=True, eq=False)
class Latent:
    """What the keys of a layer are made of, beside their own rows.

    Args:
        inner: The layer that makes the short vector and what heads share.
        rank: Length of the vector: its first rows.
        shared: The other rows, i64 ``[1, size]``, rotated.
        rotary: The node that rotates them.
    """

    inner: Linear
    rank: int
    shared: NDArray[np.int64]
    rotary: ir.Node


def keys_of(value: ir.Value, by_output: Mapping[ir.Value, Linear]) -> tuple[Heads, Latent | None]:
    """Where keys come from.

    Raises:
        NotComputableError: They are neither the rows of one layer nor those of latent attention.
    """
    made = sources(value, by_output, stops=lambda node: node.op_type == "Attention")
    if len(made) != 2:
        return without_repeats(heads_of(value, by_output)), None
    one, other = made.values()
    inner, outer = (one, other) if one.name in sources(other.x, by_output) else (other, one)
    met: list[ir.Node] = []

    def passed(node: ir.Node) -> bool:
        kept = node.op_type in (*NORMS, ROTARY)
        if kept and node not in met:
            met.append(node)
        return kept

    given = {inner.y: _numbers(inner, 0), outer.y: _numbers(outer, inner.rows)}
    found = evaluated(value, given, passed=passed)[0, :, 0].astype(np.int64)
    own = found >= inner.rows
    size = int(own[0].sum())
    rest = found[:, size:]
    rotary = next((node for node in met if node.op_type == ROTARY), None)
    if len(met) != 1 or rotary is None or not own[:, :size].all() or own[:, size:].any():
        raise NotComputableError(f"{value.name} of {', '.join(made)}")
    if (rest != rest[0]).any():
        raise NotComputableError(f"{value.name} of which heads share different parts")
    rank = _rank(inner, outer)
    if rank + rest.shape[1] != inner.rows or rest.min() < rank:
        raise NotComputableError(f"{inner.name} with rows that nothing reads")
    heads = Heads(outer, found[:, :size] - inner.rows, (ROTARY,), None, ())
    return heads, Latent(inner, rank, rest[:1], rotary)


def _rank(inner: Linear, outer: Linear) -> int:
    """Length of the normalized vector that is the first part of what one layer gives another."""

    def passed(node: ir.Node) -> bool:
        return node.op_type in NORMS

    read = evaluated(outer.x, {inner.y: _numbers(inner, 0)}, passed=passed).reshape(-1)
    if not np.array_equal(read, np.arange(len(read))):
        raise NotComputableError(f"{outer.name} of other than the first rows of {inner.name}")
    return len(read)


def _numbers(layer: Linear, first: int) -> NDArray[np.int64]:
    numbers = np.arange(first, first + layer.rows, dtype=np.int64)
    shape = layer.y.shape
    rank = 3 if shape is None else len(shape)
    return numbers.reshape(*[1] * (rank - 1), -1)
