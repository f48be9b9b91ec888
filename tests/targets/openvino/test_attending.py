"""Rotations of every kind, and bent scores, give what their formulas give."""

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from targets.openvino.attending import lower_attention, lower_rotary_embedding
from targets.openvino.context import Context
from tests.targets.openvino.evaluate import evaluate

RNG = np.random.default_rng(0)
FLOAT = ir.TensorType(ir.DataType.FLOAT)


def lowered(kind, lower, arrays, **attributes):
    return evaluate(operator(kind, lower, arrays, **attributes))


def operator(kind, lower, arrays, **attributes):
    dtypes = [ir.DataType.BOOL if each.dtype == bool else ir.DataType.FLOAT for each in arrays]
    values = [
        ir.Value(name=f"x{place}", type=ir.TensorType(dtype), shape=ir.Shape(each.shape))
        for place, (dtype, each) in enumerate(zip(dtypes, arrays, strict=True))
    ]
    packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
    node = ir.Node("", kind, values, packed, name="the.node")
    context = Context()
    for value, array in zip(values, arrays, strict=True):
        context.bind(value, ops.constant(array), value.name)
    return lower(context, node)[0]


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("size", [8, 4])
def test_heads_are_rotated(interleaved, size):
    x = RNG.normal(size=(2, 3, 5, 8)).astype(np.float32)
    angle = RNG.normal(size=(2, 5, size // 2)).astype(np.float32)
    given = {"interleaved": interleaved, "rotary_embedding_dim": size % 8}
    arrays = (x, np.cos(angle), np.sin(angle))
    found = lowered("RotaryEmbedding", lower_rotary_embedding, arrays, **given)
    pairs = (slice(0, size, 2), slice(1, size, 2))
    if not interleaved:
        pairs = (slice(0, size // 2), slice(size // 2, size))
    first, second = (x[..., each] for each in pairs)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    expected = x.copy()
    expected[..., pairs[0]] = first * cos - second * sin
    expected[..., pairs[1]] = second * cos + first * sin
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [8, 4])
def test_neighbours_of_queries_and_keys_stay_apart_where_they_are_multiplied(size):
    arrays = {name: RNG.normal(size=(1, 2, 5, 8)).astype(np.float32) for name in ("q", "k", "v")}
    angle = RNG.normal(size=(1, 5, size // 2)).astype(np.float32)
    arrays |= {"cos": np.cos(angle), "sin": np.sin(angle)}
    values = {
        name: ir.Value(name=name, type=FLOAT, shape=ir.Shape(each.shape))
        for name, each in arrays.items()
    }
    given = {"interleaved": 1, "rotary_embedding_dim": size}
    packed = [ir.convenience.convert_attribute(key, item) for key, item in given.items()]
    rotations = [
        ir.Node("", "RotaryEmbedding", [values[name], values["cos"], values["sin"]], packed)
        for name in ("q", "k")
    ]
    for rotation in rotations:
        rotation.outputs[0].shape = ir.Shape((1, 2, 5, 8))

    def rotated():
        context = Context()
        for name, value in values.items():
            context.bind(value, ops.constant(arrays[name]), name)
        return [evaluate(lower_rotary_embedding(context, each)[0]) for each in rotations]

    expected = rotated()
    ir.Node("", "Attention", [*(each.outputs[0] for each in rotations), values["v"]])
    found = rotated()
    products = [q @ k.transpose(0, 1, 3, 2) for q, k in (expected, found)]
    np.testing.assert_allclose(products[1], products[0], rtol=1e-5, atol=1e-5)
    assert np.abs(found[0] - expected[0]).max() > 0.1
    ir.Node("", "Attention", [rotations[0].outputs[0], values["k"], values["v"]])
    np.testing.assert_array_equal(rotated()[0], expected[0])


def test_scores_are_bent_before_they_are_masked():
    q = RNG.normal(size=(1, 4, 3, 8)).astype(np.float32)
    k, v, past = (RNG.normal(size=(1, 2, n, 8)).astype(np.float32) for n in (3, 3, 2))
    allowed = np.tri(3, 5, 2, dtype=bool)[None, None]
    arrays = (q, k, v, allowed, past, past)
    found = lowered("Attention", lower_attention, arrays, scale=0.5, softcap=2.0)
    keys, values = (np.concatenate([past, new], 2).repeat(2, 1) for new in (k, v))
    scores = 2.0 * np.tanh(q @ keys.transpose(0, 1, 3, 2) * 0.5 / 2.0)
    shares = np.where(allowed, np.exp(scores), 0)
    expected = shares / shares.sum(-1, keepdims=True) @ values
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_mask_that_paged_attention_does_not_know_is_said_in_full():
    """It would be dropped together with the operator that it is an input of."""
    q, k, v, past = (RNG.normal(size=(1, 2, 3, 8)).astype(np.float32) for _ in range(4))
    allowed = RNG.random((1, 1, 3, 6)) < 0.7
    made = operator("Attention", lower_attention, (q, k, v, allowed, past, past), scale=0.5)
    assert made.get_type_name() == "MatMul"
    scores = np.exp(q @ np.concatenate([past, k], 2).transpose(0, 1, 3, 2) * 0.5) * allowed
    expected = scores / scores.sum(-1, keepdims=True) @ np.concatenate([past, v], 2)
    np.testing.assert_allclose(evaluate(made), expected, rtol=1e-4, atol=1e-5)
