"""The operator table refuses what it does not know, by name."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from convert.errors import UnsupportedError
from targets.openvino.context import Context
from targets.openvino.operators import OPERATORS, lower_node
from tests.targets.openvino.evaluate import evaluate


def node(kind, inputs=1, domain="", **attributes):
    values = [
        ir.Value(name=f"x{i}", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2, 3)))
        for i in range(inputs)
    ]
    made = [ir.convenience.convert_attribute(name, value) for name, value in attributes.items()]
    return ir.Node(domain, kind, values, made, name=f"the.{kind}")


def split(parts, axis):
    made = node("Split", axis=axis, num_outputs=parts)
    made.resize_outputs(parts)
    return made


def lowered(subject, *arrays):
    context = Context()
    for value, array in zip(subject.inputs, arrays, strict=True):
        context.bind(value, ops.constant(array), value.name)
    return lower_node(context, subject)


def test_an_unknown_operator_is_named():
    with pytest.raises(UnsupportedError, match=r"Hardmax \(node 'the.Hardmax'\)"):
        lower_node(Context(), node("Hardmax"))


def test_a_foreign_domain_is_named():
    with pytest.raises(UnsupportedError, match=r"com\.example\.Add"):
        lower_node(Context(), node("Add", domain="com.example"))


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (node("Attention", 4, scale=1.0, is_causal=1), "is_causal"),
        (node("Attention", 4), "without a cache"),
        (node("Attention", 6, softmax_precision=1), "softmax_precision"),
        (node("RotaryEmbedding", 4), "position_ids"),
        (node("RMSNormalization", 2, axis=1), "axis 1"),
        (node("RMSNormalization", 2, stash_type=16), "stash_type"),
        (node("LayerNormalization", 3, axis=1), "axis 1"),
        (node("LayerNormalization", 3, stash_type=16), "stash_type"),
        (node("Gelu", 1, approximate="quick"), "'quick'"),
        (node("Split", 2, axis=1, num_outputs=2), "num_outputs"),
        (node("TopK", 2, axis=0, sorted=0), "in no order"),
        (node("ReduceSum", 1), "missing axes"),
        (node("Cast", 1, to=int(ir.DataType.COMPLEX64)), "type"),
        (node("Squeeze", 1), "missing axes"),
        (node("Transpose", 1), "missing perm"),
        (node("Sigmoid", 1, alpha=1.0), "alpha"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.op_type,
)
def test_an_unsupported_attribute_is_named(subject, reason):
    arrays = [np.ones((2, 3), np.float32)] * len(subject.inputs)
    with pytest.raises(UnsupportedError, match=reason):
        lowered(subject, *arrays)


@pytest.mark.parametrize("axis", [1, -1])
def test_equal_parts(axis):
    subject = split(parts=3, axis=axis)
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    found = [evaluate(part) for part in lowered(subject, x)]
    np.testing.assert_array_equal(found, np.split(x, 3, axis=1))


def test_parts_that_are_not_equal_are_refused():
    with pytest.raises(UnsupportedError, match="4 parts of an axis of length 6"):
        lowered(split(parts=4, axis=1), np.ones((2, 6), np.float32))


@pytest.mark.parametrize("form", ["none", "tanh"])
def test_both_forms_of_gelu(form):
    import torch

    x = np.linspace(-4, 4, 33, dtype=np.float32)
    (found,) = lowered(node("Gelu", 1, approximate=form), x)
    expected = torch.nn.functional.gelu(torch.from_numpy(x), approximate=form).numpy()
    np.testing.assert_allclose(evaluate(found), expected, rtol=0, atol=2e-6)


def test_added_scores_without_a_known_form_are_written_out():
    """An operator of attention would lose them where it becomes paged attention."""
    draw = np.random.default_rng(0).standard_normal
    shapes = [(1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 2, 4), (1, 2, 2, 4)]
    q, k, v, mask, past_k, past_v = arrays = [draw(shape).astype(np.float32) for shape in shapes]
    mixed, *_ = lowered(node("Attention", 6, scale=0.5), *arrays)
    scores = 0.5 * q @ np.concatenate([past_k, k], 2).swapaxes(2, 3) + mask
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    expected = shares / shares.sum(-1, keepdims=True) @ np.concatenate([past_v, v], 2)
    np.testing.assert_allclose(evaluate(mixed), expected, rtol=1e-5, atol=1e-5)
    assert mixed.get_type_name() == "MatMul"


def test_part_of_a_shape():
    (found,) = lowered(node("Shape", 1, start=1, end=2), np.ones((2, 3), np.float32))
    assert list(found.get_output_shape(0)) == [1]


def test_the_table_is_sorted():
    assert list(OPERATORS) == sorted(OPERATORS)
