"""Each block is its equation."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures import blocks
from convert.architectures.base import Rope
from convert.architectures.builder import GraphBuilder
from convert.weights import ArrayWeight
from tests.convert.architectures.configs import parse
from tests.support.ort import OrtGraph

BATCH, SEQUENCE, HIDDEN = 2, 3, 5


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(make, arrays, x, dtype=ir.DataType.FLOAT):
    b = GraphBuilder({name: ArrayWeight(name, array) for name, array in arrays.items()})
    axes = ("batch", "sequence", *x.shape[2:])
    made = make(b, b.input("x", dtype, axes))
    outputs = made if isinstance(made, list) else [made]
    return list(OrtGraph(b.model(outputs, "block"))(x=x).values())


@pytest.mark.parametrize("bias", [False, True])
def test_linear(bias):
    weights = {"m.weight": normal(7, HIDDEN), "m.bias": normal(7, seed=1)}
    x = normal(BATCH, SEQUENCE, HIDDEN, seed=2)
    (y,) = run(lambda b, x: blocks.linear(b, x, "m", bias=bias), weights, x)
    expected = x @ weights["m.weight"].T + (weights["m.bias"] if bias else 0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_embedding():
    table, ids = normal(11, HIDDEN), np.array([[0, 10, 3], [4, 4, 1]])
    (y,) = run(
        lambda b, x: blocks.embedding(b, x, "e"), {"e.weight": table}, ids, ir.DataType.INT64
    )
    np.testing.assert_array_equal(y, table[ids])


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_rms_norm(epsilon):
    scale, x = normal(HIDDEN), normal(BATCH, SEQUENCE, HIDDEN, seed=1)
    (y,) = run(lambda b, x: blocks.rms_norm(b, x, "n", epsilon), {"n.weight": scale}, x)
    expected = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + epsilon) * scale
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_layer_norm(epsilon):
    weights = {"n.weight": normal(HIDDEN), "n.bias": normal(HIDDEN, seed=1)}
    x = normal(BATCH, SEQUENCE, HIDDEN, seed=2) + 3
    (y,) = run(lambda b, x: blocks.layer_norm(b, x, "n", epsilon), weights, x)
    centred = x.astype(np.float64) - x.mean(-1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    np.testing.assert_allclose(
        y, unit * weights["n.weight"] + weights["n.bias"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_rotation(factor):
    rope = Rope(100.0, attention_factor=factor)
    positions = np.array([[0, 1, 2], [5, 40, 300]])

    def make(b, x):
        turn = blocks.rotation(b, x, rope, 12)
        return [turn.cos, turn.sin]

    cos, sin = run(make, {}, positions, ir.DataType.INT64)
    angles = positions[..., None] * 100.0 ** (-np.arange(0, 12, 2) / 12)
    np.testing.assert_allclose(cos, factor * np.cos(angles), rtol=0, atol=1e-4)
    np.testing.assert_allclose(sin, factor * np.sin(angles), rtol=0, atol=1e-4)


def test_gated_mlp_puts_the_activation_on_the_gate():
    weights = {
        "m.gate_proj.weight": normal(7, HIDDEN),
        "m.up_proj.weight": normal(7, HIDDEN, seed=1),
        "m.down_proj.weight": normal(HIDDEN, 7, seed=2),
    }
    x = normal(BATCH, SEQUENCE, HIDDEN, seed=3)
    (y,) = run(lambda b, x: blocks.gated_mlp(b, x, "m", parse()), weights, x)
    gate, up = x @ weights["m.gate_proj.weight"].T, x @ weights["m.up_proj.weight"].T
    expected = (gate / (1 + np.exp(-gate)) * up) @ weights["m.down_proj.weight"].T
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_gelu_mlp_approximates_with_tanh():
    weights = {
        "m.dense_h_to_4h.weight": normal(7, HIDDEN),
        "m.dense_h_to_4h.bias": normal(7, seed=1),
        "m.dense_4h_to_h.weight": normal(HIDDEN, 7, seed=2),
        "m.dense_4h_to_h.bias": normal(HIDDEN, seed=3),
    }
    x = normal(BATCH, SEQUENCE, HIDDEN, seed=4)
    (y,) = run(lambda b, x: blocks.gelu_mlp(b, x, "m"), weights, x)
    wide = x @ weights["m.dense_h_to_4h.weight"].T + weights["m.dense_h_to_4h.bias"]
    inner = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    expected = wide / 2 * (1 + np.tanh(inner)) @ weights["m.dense_4h_to_h.weight"].T
    expected += weights["m.dense_4h_to_h.bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
