"""Localized filtering: two short causal convolutions that queries and keys look through.

    c[t] = conv1(x[t-1], x[t])    y[t] = RMSNorm(conv2(c[t-1], c[t]) + x[t])

Before the first token there is nothing, for both: ``x[-1] = 0`` and ``c[-1] = 0``, which is not
what conv1 would make of zeros, since it has a bias. Padding is nothing, too.

Shapes: B batch, S new tokens, T all tokens.
"""

from __future__ import annotations

import onnx_ir as ir

from convert.architectures.base import Shape
from convert.architectures.blocks import rms_norm
from convert.architectures.builder import GraphBuilder
from convert.graph import BATCH, QUERY_KEPT, SEQUENCE, after

KERNEL = 2
"""Positions that each of the convolutions sees: its own and the one before."""

NORM_EPSILON = 1e-6
"""The original gives this norm none of the configuration's."""


def kept_tokens(b: GraphBuilder, attention_mask: ir.Value, query_slots: ir.Value) -> ir.Value:
    """1 for each new token, 0 for padding, f32 ``[B, S, 1]``."""
    shape = (BATCH, SEQUENCE)
    kept = b.op(
        "Gather",
        attention_mask,
        query_slots,
        name=QUERY_KEPT,
        shape=shape,
        dtype=ir.DataType.INT64,
        axis=1,
    )
    floats = b.op(
        "Cast", kept, name=f"{QUERY_KEPT}.Cast", dtype=ir.DataType.FLOAT, to=ir.DataType.FLOAT
    )
    axis = b.integers("axis_2", 2)
    return b.op("Unsqueeze", floats, axis, name=f"{QUERY_KEPT}.Unsqueeze", shape=(*shape, 1))


def localized_filter(b: GraphBuilder, x: ir.Value, scope: str, kept: ir.Value) -> ir.Value:
    """``RMSNorm(conv2(conv1(x)) + x)``.

    Args:
        x: ``[B, S, hidden]``.
        scope: Name of the module.
        kept: As `kept_tokens` gives it.
    """
    inner = _causal_convolution(b, x, f"{scope}.conv1", kept)
    outer = _causal_convolution(b, inner, f"{scope}.conv2", kept)
    joined = b.op("Add", outer, x, name=f"{scope}.Add")
    return rms_norm(b, joined, f"{scope}.output_layernorm", NORM_EPSILON)


def filter_parameters(scope: str, hidden: int) -> dict[str, Shape]:
    """Name and shape of the parameters of one filter."""
    inner = hidden // 2
    return {
        f"{scope}.conv1.weight": (inner, hidden, KERNEL, 1),
        f"{scope}.conv1.bias": (inner,),
        f"{scope}.conv2.weight": (hidden, inner, KERNEL, 1),
        f"{scope}.conv2.bias": (hidden,),
        f"{scope}.output_layernorm.weight": (hidden,),
    }


def _causal_convolution(b: GraphBuilder, x: ir.Value, scope: str, kept: ir.Value) -> ir.Value:
    """``y[t] = bias + Σ W[:, :, k] x[t - KERNEL + 1 + k]``, with zeros before the first token.

    ``x`` is ``[B, S, in]``, ``y`` is ``[B, S, out]``, ``W`` is ``[out, in, KERNEL, 1]``.
    """
    weight, bias = b.parameter(f"{scope}.weight"), b.parameter(f"{scope}.bias")
    rows, columns = b.shape(weight)[:2]
    padded = after(KERNEL - 1)
    tokens = b.op("Mul", x, kept, name=f"{scope}.Mul", shape=(BATCH, SEQUENCE, columns))
    before = b.integers(f"pads_{KERNEL - 1}", 0, KERNEL - 1, 0, 0, 0, 0)
    window = b.op("Pad", tokens, before, name=f"{scope}.Pad", shape=(BATCH, padded, columns))
    turned = b.op(
        "Transpose",
        window,
        name=f"{scope}.channels",
        shape=(BATCH, columns, padded),
        perm=(0, 2, 1),
    )
    axis = b.integers("axis_3", 3)
    image = b.op(
        "Unsqueeze", turned, axis, name=f"{scope}.Unsqueeze", shape=(BATCH, columns, padded, 1)
    )
    image = b.op(
        "Conv", image, weight, bias, name=f"{scope}.Conv", shape=(BATCH, rows, SEQUENCE, 1)
    )
    turned = b.op("Squeeze", image, axis, name=f"{scope}.Squeeze", shape=(BATCH, rows, SEQUENCE))
    shape = (BATCH, SEQUENCE, rows)
    return b.op("Transpose", turned, name=f"{scope}.Transpose", shape=shape, perm=(0, 2, 1))
