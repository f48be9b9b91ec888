"""The operator table refuses what it does not know, by name."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from convert.errors import UnsupportedError
from targets.openvino.context import Context
from targets.openvino.operators import OPERATORS, lower_node


def node(kind, inputs=1, domain="", **attributes):
    values = [
        ir.Value(name=f"x{i}", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2, 3)))
        for i in range(inputs)
    ]
    made = [ir.convenience.convert_attribute(name, value) for name, value in attributes.items()]
    return ir.Node(domain, kind, values, made, name=f"the.{kind}")


def lowered(subject, *arrays):
    context = Context()
    for value, array in zip(subject.inputs, arrays, strict=True):
        context.bind(value, ops.constant(array), value.name)
    return lower_node(context, subject)


def test_an_unknown_operator_is_named():
    with pytest.raises(UnsupportedError, match=r"Einsum \(node 'the.Einsum'\)"):
        lower_node(Context(), node("Einsum"))


def test_a_foreign_domain_is_named():
    with pytest.raises(UnsupportedError, match=r"com\.example\.Add"):
        lower_node(Context(), node("Add", domain="com.example"))


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (node("Attention", 4, scale=1.0, is_causal=1), "is_causal"),
        (node("Attention", 4, softcap=2.0), "softcap"),
        (node("Attention", 4), "without a cache"),
        (node("Attention", 6, qk_matmul_output_mode=1), "qk_matmul_output_mode"),
        (node("RotaryEmbedding", 3, interleaved=1), "interleaved"),
        (node("RotaryEmbedding", 4), "position_ids"),
        (node("RMSNormalization", 2, axis=1), "axis 1"),
        (node("RMSNormalization", 2, stash_type=16), "stash_type"),
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


def test_part_of_a_shape():
    (found,) = lowered(node("Shape", 1, start=1, end=2), np.ones((2, 3), np.float32))
    assert list(found.get_output_shape(0)) == [1]


def test_the_table_is_sorted():
    assert list(OPERATORS) == sorted(OPERATORS)
