"""Attention with linear biases: the farther back a key, the less it counts, at each head's slope.

    score[h, i, j] += slope[h] · (j - i)

What matters is only how the biases of one row differ, so that counting from the query (here) and
from the first key (the paper, arXiv 2108.12409) give the same softmax; from the query, the biases
of near keys are small, and exact in bfloat16. Slots are counted, not tokens: the same, as long as
no padding lies between the tokens of a sequence.

Shapes: B batch, H heads, S new tokens, T all tokens.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.builder import GraphBuilder
from convert.architectures.masks import Slots
from convert.graph import BATCH, SEQUENCE, TOTAL_SEQUENCE

FORBIDDEN = -1e30
"""Bias of a key that a query must not see: it leaves no weight, and is finite in bfloat16, too."""

_SCOPE = "alibi"


def slopes(heads: int) -> NDArray[np.float32]:
    """Slope of each head.

    For n heads, a power of two: ``2^(-8/n)`` to the powers 1 to n. Otherwise the slopes of the
    next smaller power of two, then every second one of the next larger.

    Returns:
        float32 ``[heads]``.
    """
    smaller = 1 << (heads.bit_length() - 1)
    first = _powers(smaller, np.arange(1, smaller + 1))
    others = _powers(2 * smaller, np.arange(1, 2 * (heads - smaller), 2))
    return np.concatenate([first, others])


def linear_biases(b: GraphBuilder, at: Slots, heads: int) -> ir.Value:
    """``slope · (key slot - query slot)``, f32 ``[H, S, T]``."""
    pairs = (SEQUENCE, TOTAL_SEQUENCE)
    distance = b.op(
        "Sub", at.key, at.query, name=f"{_SCOPE}.slots", shape=pairs, dtype=ir.DataType.INT64
    )
    distance = b.op("Cast", distance, name=f"{_SCOPE}.distance", to=ir.DataType.FLOAT)
    by_head = b.constant(f"{_SCOPE}.slopes", slopes(heads).reshape(heads, 1, 1))
    return b.op("Mul", by_head, distance, name=f"{_SCOPE}.bias", shape=(heads, *pairs))


def biased_mask(b: GraphBuilder, allowed: ir.Value, biases: ir.Value, heads: int) -> ir.Value:
    """The biases where a query may look, else `FORBIDDEN`: f32 ``[B, H, S, T]``.

    Args:
        allowed: bool ``[B, 1, S, T]``.
        biases: As `linear_biases` gives them.
    """
    forbidden = b.constant("mask.forbidden", np.array(FORBIDDEN, np.float32))
    shape = (BATCH, heads, SEQUENCE, TOTAL_SEQUENCE)
    return b.op("Where", allowed, biases, forbidden, name="mask.full.alibi", shape=shape)


def _powers(heads: int, exponents: NDArray[np.int64]) -> NDArray[np.float32]:
    # The base is rounded to float32 before it is raised, as transformers does.
    base = np.float32(2.0 ** (-8.0 / heads))
    return np.asarray(np.power(np.float64(base), exponents), np.float32)
