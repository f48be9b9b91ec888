"""The blocks of decoders in standard operators: linear, norm, RoPE, masks, attention, MLP.

Shapes in this file: B batch, S new tokens, T all tokens (cached and new), H heads, D head_dim.
Every function appends to a `GraphBuilder`; ``scope`` is the name of the module in the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.architectures.builder import GraphBuilder
from convert.architectures.rope import inverse_frequencies
from convert.graph import BATCH, KEY_SLOTS, QUERY_SLOTS, SEQUENCE, TOTAL_SEQUENCE

BOOL, INT64 = ir.DataType.BOOL, ir.DataType.INT64


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of the rotary angles, each ``[B, S, D/2]``."""

    cos: ir.Value
    sin: ir.Value


def linear(b: GraphBuilder, x: ir.Value, scope: str, *, bias: bool = False) -> ir.Value:
    """``y = x Wᵀ (+ bias)`` with the checkpoint's ``W [out, in]``."""
    weight = b.parameter(f"{scope}.weight")
    y = matmul_transposed(b, x, weight, scope)
    if bias:
        y = b.op("Add", y, b.parameter(f"{scope}.bias"), name=f"{scope}.Add", shape=y.shape)
    return y


def matmul_transposed(
    b: GraphBuilder, x: ir.Value, weight: ir.Value, scope: str, output: str | None = None
) -> ir.Value:
    """``y [B, S, out] = x Wᵀ``; ``output`` names the result if it is not to be named by scope."""
    out, columns = weight.shape
    turned = b.op("Transpose", weight, name=f"{scope}.Transpose", shape=(columns, out), perm=(1, 0))
    return b.op(
        "MatMul", x, turned, name=f"{scope}.MatMul", output=output, shape=(BATCH, SEQUENCE, out)
    )


def rms_norm(b: GraphBuilder, x: ir.Value, scope: str, epsilon: float) -> ir.Value:
    """``y = x / sqrt(mean(x²) + epsilon) · weight`` over the last axis."""
    return b.op(
        "RMSNormalization",
        x,
        b.parameter(f"{scope}.weight"),
        name=f"{scope}.RMSNormalization",
        shape=x.shape,
        axis=-1,
        epsilon=epsilon,
    )


def rotation(b: GraphBuilder, position_ids: ir.Value, config: DecoderConfig) -> Rotation:
    """``angle = position · inverse frequency``, once for all layers."""
    scope, half = "model.rotary_emb", config.head_dim // 2
    frequencies = b.constant(f"{scope}.inv_freq", inverse_frequencies(config.rope, config.head_dim))
    positions = b.op(
        "Cast",
        position_ids,
        name=f"{scope}.Cast",
        shape=(BATCH, SEQUENCE),
        to=ir.DataType.FLOAT,
    )
    column = b.op(
        "Unsqueeze",
        positions,
        b.integers("axis_2", 2),
        name=f"{scope}.Unsqueeze",
        shape=(BATCH, SEQUENCE, 1),
    )
    shape = (BATCH, SEQUENCE, half)
    angles = b.op("Mul", column, frequencies, name=f"{scope}.Mul", shape=shape)

    def wave(kind: str) -> ir.Value:
        value = b.op(kind, angles, name=f"{scope}.{kind}", shape=shape)
        if config.rope.attention_factor == 1.0:
            return value
        factor = b.constant(
            f"{scope}.attention_factor", np.array(config.rope.attention_factor, np.float32)
        )
        return b.op("Mul", value, factor, name=f"{scope}.{kind}.Mul", shape=shape)

    return Rotation(wave("Cos"), wave("Sin"))


@dataclass(frozen=True)
class Slots:
    """Where tokens sit in the cache.

    Args:
        query: Slot of each new token, as a column ``[S, 1]``.
        key: All slots ``[T]``.
        kept: Which slots hold a token rather than padding, ``[B, 1, 1, T]``.
    """

    query: ir.Value
    key: ir.Value
    kept: ir.Value


def slots(b: GraphBuilder, input_ids: ir.Value, attention_mask: ir.Value) -> Slots:
    """New tokens sit in the last slots: token i of S in slot ``T - S + i``."""

    def length(value: ir.Value, axis_name: str) -> ir.Value:
        shape = b.op(
            "Shape", value, name=f"{axis_name}.Shape", shape=(1,), dtype=INT64, start=1, end=2
        )
        return b.op(
            "Squeeze", shape, b.integers("axis_0", 0), name=axis_name, shape=(), dtype=INT64
        )

    zero, one = b.integer("zero", 0), b.integer("one", 1)
    total = length(attention_mask, TOTAL_SEQUENCE)
    new = length(input_ids, SEQUENCE)
    first = b.op("Sub", total, new, name="first_query_slot", shape=(), dtype=INT64)
    query = b.op("Range", first, total, one, name=QUERY_SLOTS, shape=(SEQUENCE,), dtype=INT64)
    column = b.op(
        "Unsqueeze",
        query,
        b.integers("axis_1", 1),
        name="query_slots.Unsqueeze",
        shape=(SEQUENCE, 1),
        dtype=INT64,
    )
    key = b.op("Range", zero, total, one, name=KEY_SLOTS, shape=(TOTAL_SEQUENCE,), dtype=INT64)
    tokens = b.op(
        "Cast",
        attention_mask,
        name="attention_mask.Cast",
        shape=(BATCH, TOTAL_SEQUENCE),
        dtype=BOOL,
        to=BOOL,
    )
    kept = b.op(
        "Unsqueeze",
        tokens,
        b.integers("axes_1_2", 1, 2),
        name="attention_mask.Unsqueeze",
        shape=(BATCH, 1, 1, TOTAL_SEQUENCE),
        dtype=BOOL,
    )
    return Slots(column, key, kept)


def mask(b: GraphBuilder, at: Slots, window: int | None) -> ir.Value:
    """Which keys each query attends to, bool ``[B, 1, S, T]``.

    ``j ≤ i  and  (slot j holds a token or j = i)  and  j > i - window``, i and j being slots. A
    token attends to itself even if it is padding, so that no row of the softmax is empty.
    """
    scope = "mask.full" if window is None else f"mask.window_{window}"
    pairs = (SEQUENCE, TOTAL_SEQUENCE)
    full = (BATCH, 1, SEQUENCE, TOTAL_SEQUENCE)

    def op(kind: str, x: ir.Value, y: ir.Value, shape: tuple[int | str, ...]) -> ir.Value:
        return b.op(kind, x, y, name=f"{scope}.{kind}", shape=shape, dtype=BOOL)

    reach = op("LessOrEqual", at.key, at.query, pairs)
    if window is not None:
        start = b.op(
            "Sub",
            at.query,
            b.integer(f"{scope}.length", window),
            name=f"{scope}.Sub",
            shape=(SEQUENCE, 1),
            dtype=INT64,
        )
        inside = op("Greater", at.key, start, pairs)
        reach = b.op("And", reach, inside, name=f"{scope}.reach", shape=pairs, dtype=BOOL)
    own = op("Equal", at.key, at.query, pairs)
    return op("And", op("Or", at.kept, own, full), reach, full)


def attention(
    b: GraphBuilder,
    x: ir.Value,
    scope: str,
    config: DecoderConfig,
    turn: Rotation,
    allowed: ir.Value,
) -> ir.Value:
    """Grouped-query attention with rotary positions; ``scale = 1/√D``."""
    hidden = config.heads * config.head_dim

    def heads(part: str, count: int, *, bias: bool) -> ir.Value:
        """``[B, S, H·D]`` to ``[B, H, S, D]``."""
        inner = f"{scope}.{part}_proj"
        flat = linear(b, x, inner, bias=bias)
        split = b.op(
            "Reshape",
            flat,
            b.integers(f"shape_{count}_{config.head_dim}", 0, 0, count, config.head_dim),
            name=f"{inner}.Reshape",
            shape=(BATCH, SEQUENCE, count, config.head_dim),
        )
        if config.qk_norm and part in "qk":
            split = rms_norm(b, split, f"{scope}.{part}_norm", config.norm_eps)
        moved = b.op(
            "Transpose",
            split,
            name=f"{inner}.heads",
            shape=(BATCH, count, SEQUENCE, config.head_dim),
            perm=(0, 2, 1, 3),
        )
        if part == "v":
            return moved
        name = f"{scope}.{part}.RotaryEmbedding"
        return b.op("RotaryEmbedding", moved, turn.cos, turn.sin, name=name, shape=moved.shape)

    mixed = b.op(
        "Attention",
        heads("q", config.heads, bias=config.qkv_bias),
        heads("k", config.kv_heads, bias=config.qkv_bias),
        heads("v", config.kv_heads, bias=config.qkv_bias),
        allowed,
        name=f"{scope}.Attention",
        shape=(BATCH, config.heads, SEQUENCE, config.head_dim),
        scale=config.head_dim**-0.5,
    )
    back = b.op(
        "Transpose",
        mixed,
        name=f"{scope}.Transpose",
        shape=(BATCH, SEQUENCE, config.heads, config.head_dim),
        perm=(0, 2, 1, 3),
    )
    joined = b.op(
        "Reshape",
        back,
        b.integers(f"shape_{hidden}", 0, 0, hidden),
        name=f"{scope}.Reshape",
        shape=(BATCH, SEQUENCE, hidden),
    )
    return linear(b, joined, f"{scope}.o_proj", bias=config.output_bias)


def gated_mlp(b: GraphBuilder, x: ir.Value, scope: str, *, bias: bool) -> ir.Value:
    """``down(silu(gate(x)) · up(x))`` with ``silu(z) = z · sigmoid(z)``."""
    gate = linear(b, x, f"{scope}.gate_proj", bias=bias)
    up = linear(b, x, f"{scope}.up_proj", bias=bias)
    sigmoid = b.op("Sigmoid", gate, name=f"{scope}.act_fn.Sigmoid", shape=gate.shape)
    silu = b.op("Mul", gate, sigmoid, name=f"{scope}.act_fn.Mul", shape=gate.shape)
    gated = b.op("Mul", silu, up, name=f"{scope}.Mul", shape=gate.shape)
    return linear(b, gated, f"{scope}.down_proj", bias=bias)
