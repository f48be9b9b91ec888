"""Operators on elements and along axes mean in OpenVINO what they mean in ONNX."""

import math

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from convert.errors import UnsupportedError
from targets.openvino.context import Context
from targets.openvino.elementwise import ELEMENTWISE
from targets.openvino.reductions import REDUCTIONS
from tests.targets.openvino.evaluate import evaluate

X = np.array([[-1.5, 0.25, 2.0], [0.5, -0.75, 3.0]], np.float32)
POSITIVE = np.abs(X) + 1


def lowered(kind, *arrays, **attributes):
    kinds = {"f": ir.DataType.FLOAT, "i": ir.DataType.INT64}
    values = [
        ir.Value(name=f"x{i}", type=ir.TensorType(kinds[each.dtype.kind]))
        for i, each in enumerate(arrays)
    ]
    packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
    node, context = ir.Node("", kind, values, packed, name="the.node"), Context()
    for value, array in zip(values, arrays, strict=True):
        context.bind(value, ops.constant(array), value.name)
    table = ELEMENTWISE if kind in ELEMENTWISE else REDUCTIONS
    return evaluate(table[kind](context, node)[0])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: lowered("Reciprocal", X), 1 / X),
        (lambda: lowered("Sqrt", POSITIVE), np.sqrt(POSITIVE)),
        (lambda: lowered("Max", X, X[:1]), np.maximum(X, X[:1])),
        (lambda: lowered("Erf", X), np.vectorize(math.erf)(X)),
        (lambda: lowered("Softplus", X), np.log1p(np.exp(X))),
        (lambda: lowered("Mod", np.array([-7, 7]), np.array([4])), np.array([1, 3])),
        (lambda: lowered("Mod", np.array([-7, 7]), np.array([4]), fmod=1), np.array([-3, 3])),
        (lambda: lowered("LeakyRelu", X, alpha=0.5), np.where(X < 0, X / 2, X)),
        (lambda: lowered("ReduceMean", X, np.array([1])), X.mean(1, keepdims=True)),
        (lambda: lowered("ReduceL2", X, np.array([0]), keepdims=0), np.sqrt((X * X).sum(0))),
        (lambda: lowered("CumSum", X, np.array(1)), X.cumsum(1)),
        (lambda: lowered("Tile", X, np.array([1, 2])), np.tile(X, (1, 2))),
        (lambda: lowered("Einsum", X, X, equation="ij,kj->ik"), X @ X.T),
        (lambda: lowered("Pad", X, np.array([0, 1, 0, 2])), np.pad(X, ((0, 0), (1, 2)))),
        (
            lambda: lowered("GatherElements", X, np.array([[2], [0]]), axis=1),
            np.array([[2.0], [0.5]]),
        ),
    ],
)
def test_operators_mean_the_same(found, expected):
    np.testing.assert_allclose(found(), expected, rtol=1e-4, atol=1e-5)


def test_what_is_not_implemented_is_refused():
    with pytest.raises(UnsupportedError, match="3 operands"):
        lowered("Max", X, X, X)
    with pytest.raises(UnsupportedError, match="mode 'reflect'"):
        lowered("Pad", X, np.array([0, 1, 0, 2]), mode="reflect")
