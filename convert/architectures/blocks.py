"""The blocks of decoders in standard operators: linear, norms, RoPE, attention, MLPs.

Shapes: B batch, S new tokens, H heads, D head_dim. Every function appends to a `GraphBuilder`;
``scope`` is the name of the module in the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.architectures.base import DecoderConfig, Rope
from convert.architectures.builder import GraphBuilder
from convert.architectures.rope import inverse_frequencies
from convert.graph import BATCH, SEQUENCE


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of the rotary angles, each ``[B, S, D/2]``."""

    cos: ir.Value
    sin: ir.Value


def embedding(b: GraphBuilder, input_ids: ir.Value, scope: str) -> ir.Value:
    """Rows of the embedding ``[vocab, hidden]``."""
    table = b.parameter(f"{scope}.weight")
    shape = (BATCH, SEQUENCE, b.shape(table)[1])
    return b.op("Gather", table, input_ids, name=f"{scope}.Gather", shape=shape, axis=0)


def linear(
    b: GraphBuilder,
    x: ir.Value,
    scope: str,
    *,
    bias: bool = False,
    weight: str | None = None,
    output: str | None = None,
) -> ir.Value:
    """``y = x Wᵀ (+ bias)`` with the checkpoint's ``W [out, in]``.

    Args:
        bias: Whether to add one.
        weight: Name of W, if it is another module's.
        output: Name of ``y`` in a graph whose output it is.
    """
    matrix = b.parameter(weight or f"{scope}.weight")
    turned = b.op(
        "Transpose", matrix, name=f"{scope}.Transpose", shape=b.shape(matrix)[::-1], perm=(1, 0)
    )
    assert x.shape is not None
    shape = (*x.shape[:-1], b.shape(matrix)[0])
    y = b.op("MatMul", x, turned, name=f"{scope}.MatMul", output=output, shape=shape)
    if bias:
        y = b.op("Add", y, b.parameter(f"{scope}.bias"), name=f"{scope}.Add")
    return y


def rms_norm(b: GraphBuilder, x: ir.Value, scope: str, epsilon: float) -> ir.Value:
    """``y = x / sqrt(mean(x²) + epsilon) · weight`` over the last axis."""
    name, scale = f"{scope}.RMSNormalization", b.parameter(f"{scope}.weight")
    return b.op("RMSNormalization", x, scale, name=name, axis=-1, epsilon=epsilon)


def layer_norm(b: GraphBuilder, x: ir.Value, scope: str, epsilon: float) -> ir.Value:
    """``y = (x - mean(x)) / sqrt(variance(x) + epsilon) · weight + bias`` over the last axis."""
    scale, bias = b.parameter(f"{scope}.weight"), b.parameter(f"{scope}.bias")
    name = f"{scope}.LayerNormalization"
    return b.op("LayerNormalization", x, scale, bias, name=name, axis=-1, epsilon=epsilon)


def rotation(b: GraphBuilder, position_ids: ir.Value, rope: Rope, head_dim: int) -> Rotation:
    """``angle = position · inverse frequency``, once for all layers."""
    scope = "model.rotary_emb"
    frequencies = b.constant(f"{scope}.inv_freq", inverse_frequencies(rope, head_dim))
    positions = b.op("Cast", position_ids, name=f"{scope}.Cast", to=ir.DataType.FLOAT)
    column = b.op(
        "Unsqueeze",
        positions,
        b.integers("axis_2", 2),
        name=f"{scope}.Unsqueeze",
        shape=(BATCH, SEQUENCE, 1),
    )
    shape = (BATCH, SEQUENCE, head_dim // 2)
    angles = b.op("Mul", column, frequencies, name=f"{scope}.Mul", shape=shape)

    def wave(kind: str) -> ir.Value:
        value = b.op(kind, angles, name=f"{scope}.{kind}")
        if rope.attention_factor == 1.0:
            return value
        factor = np.array(rope.attention_factor, np.float32)
        constant = b.constant(f"{scope}.attention_factor", factor)
        return b.op("Mul", value, constant, name=f"{scope}.{kind}.Mul")

    return Rotation(wave("Cos"), wave("Sin"))


def attention(
    b: GraphBuilder,
    x: ir.Value,
    scope: str,
    config: DecoderConfig,
    turn: Rotation,
    allowed: ir.Value,
    filtered: ir.Value | None = None,
) -> ir.Value:
    """Grouped-query attention with rotary positions, scaled by ``1/√D``.

    Args:
        turn: Angles by which queries and keys are rotated.
        allowed: bool ``[B, 1, S, T]``, which keys each query attends to.
        filtered: What queries and keys are made of, if not of ``x``.
    """

    def rotated(part: str, count: int) -> ir.Value:
        split = _heads(b, x if filtered is None else filtered, scope, part, count, config)
        name = f"{scope}.{part}.RotaryEmbedding"
        return b.op("RotaryEmbedding", split, turn.cos, turn.sin, name=name)

    query, key = rotated("q", config.heads), rotated("k", config.kv_heads)
    value = _heads(b, x, scope, "v", config.kv_heads, config)
    mixed = attend(b, query, key, value, allowed, scope)
    return linear(b, mixed, f"{scope}.o_proj", bias=config.output_bias)


def attend(
    b: GraphBuilder,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    mask: ir.Value,
    scope: str,
) -> ir.Value:
    """``softmax(query keyᵀ / √D, masked) value``, the heads side by side: ``[B, S, H·D]``.

    Args:
        query: ``[B, H, S, D]``; keys and values may have fewer heads.
        mask: bool, or f32 to be added to the scores; ``[B, 1 or H, S, T]``.
    """
    heads, head_dim = size_of(query, 1), size_of(query, 3)
    mixed = b.op(
        "Attention",
        query,
        key,
        value,
        mask,
        name=f"{scope}.Attention",
        scale=head_dim**-0.5,
    )
    back = b.op(
        "Transpose",
        mixed,
        name=f"{scope}.Transpose",
        shape=(BATCH, SEQUENCE, heads, head_dim),
        perm=(0, 2, 1, 3),
    )
    width = heads * head_dim
    flat = b.integers(f"shape_{width}", 0, 0, width)
    return b.op("Reshape", back, flat, name=f"{scope}.Reshape", shape=(BATCH, SEQUENCE, width))


def _heads(
    b: GraphBuilder, x: ir.Value, scope: str, part: str, count: int, config: DecoderConfig
) -> ir.Value:
    """Queries, keys or values (``part`` q, k or v) by head, ``[B, H, S, D]``."""
    inner = f"{scope}.{part}_proj"
    split = cut_by_head(b, linear(b, x, inner, bias=config.qkv_bias), inner, count)
    if config.qk_norm and part in ("q", "k"):
        split = rms_norm(b, split, f"{scope}.{part}_norm", config.norm_eps)
    return heads_first(b, split, inner)


def cut_by_head(b: GraphBuilder, x: ir.Value, scope: str, count: int) -> ir.Value:
    """``[B, S, H·W]`` as ``[B, S, H, W]``."""
    width = size_of(x, 2) // count
    shape = b.integers(f"shape_{count}_{width}", 0, 0, count, width)
    sizes = (BATCH, SEQUENCE, count, width)
    return b.op("Reshape", x, shape, name=f"{scope}.Reshape", shape=sizes)


def heads_first(b: GraphBuilder, x: ir.Value, scope: str) -> ir.Value:
    """``[B, S, H, W]`` turned to ``[B, H, S, W]``."""
    shape = (BATCH, size_of(x, 2), SEQUENCE, size_of(x, 3))
    return b.op("Transpose", x, name=f"{scope}.heads", shape=shape, perm=(0, 2, 1, 3))


def gated_mlp(b: GraphBuilder, x: ir.Value, scope: str, config: DecoderConfig) -> ir.Value:
    """``down(silu(gate(x)) · up(x))`` with ``silu(z) = z · sigmoid(z)``.

    Where ``config.activated`` says so, ``up`` has the activation instead of ``gate``.
    """
    gate = linear(b, x, f"{scope}.gate_proj", bias=config.mlp_bias)
    up = linear(b, x, f"{scope}.up_proj", bias=config.mlp_bias)
    gated = gate_with_silu(b, *((gate, up) if config.activated == "gate" else (up, gate)), scope)
    return linear(b, gated, f"{scope}.down_proj", bias=config.mlp_bias)


def gate_with_silu(b: GraphBuilder, active: ir.Value, plain: ir.Value, scope: str) -> ir.Value:
    """``silu(active) · plain``."""
    sigmoid = b.op("Sigmoid", active, name=f"{scope}.act_fn.Sigmoid")
    silu = b.op("Mul", active, sigmoid, name=f"{scope}.act_fn.Mul")
    return b.op("Mul", silu, plain, name=f"{scope}.Mul")


def gelu_mlp(b: GraphBuilder, x: ir.Value, scope: str) -> ir.Value:
    """``dense_4h_to_h(gelu(dense_h_to_4h(x)))``, gelu by its approximation with tanh."""
    wide = linear(b, x, f"{scope}.dense_h_to_4h", bias=True)
    active = b.op("Gelu", wide, name=f"{scope}.gelu_impl.Gelu", approximate="tanh")
    return linear(b, active, f"{scope}.dense_4h_to_h", bias=True)


def size_of(x: ir.Value, axis: int) -> int:
    """Length of an axis that is known."""
    assert x.shape is not None
    size = x.shape[axis]
    assert isinstance(size, int), f"axis {axis} of {x.name} has no number"
    return size
