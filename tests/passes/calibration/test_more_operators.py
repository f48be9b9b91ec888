"""Each operator that imported graphs may have equals onnxruntime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures.builder import IR_VERSION, OPSET
from convert.attention_sinks import SCORES_WITH_MASK
from convert.errors import UnsupportedError
from passes.calibration.more_operators import MORE
from passes.calibration.operators import operator_of
from tests.support.ort import OrtGraph

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(0, 3, (2, 3, 4)).astype(np.float32)
Y = RANDOM.normal(0, 3, (3, 4)).astype(np.float32)
WHERE = RANDOM.integers(0, 3, (2, 2, 4))


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def number(value: int) -> np.ndarray:
    return np.array(value, np.int64)


AXES = (X, integers(-1))

CASES: dict[str, tuple[str, tuple[np.ndarray, ...], dict[str, Any]]] = {
    **{kind: (kind, (X,), {}) for kind in ("Abs", "Ceil", "Erf", "Floor", "Sign", "Tanh", "Relu")},
    **{kind: (kind, (X,), {}) for kind in ("Exp", "HardSwish", "Identity", "Mish", "Reciprocal")},
    **{kind: (kind, (np.abs(X),), {}) for kind in ("Log", "Sqrt", "Softplus")},
    **{kind: (kind, (X, Y), {}) for kind in ("GreaterOrEqual", "Less", "Max", "Min")},
    **{
        kind: (kind, AXES, {"keepdims": 1})
        for kind in ("ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin")
    },
    "reduced axes go": ("ReduceLogSumExp", (X, integers(0, 2)), {"keepdims": 0}),
    "all axes": ("ReduceMax", (X,), {"keepdims": 0}),
    "cumulative sum": ("CumSum", (X, number(1)), {}),
    "einsum": ("Einsum", (X, Y), {"equation": "bij,ij->bi"}),
    "elu": ("Elu", (X,), {"alpha": 0.5}),
    "expand": ("Expand", (Y, integers(2, 1, 4)), {}),
    "elements": ("GatherElements", (X, WHERE), {"axis": 1}),
    "rows": ("GatherND", (X, np.array([[0, 2], [1, 1]])), {}),
    "leaky": ("LeakyRelu", (X,), {"alpha": 0.2}),
    "log softmax": ("LogSoftmax", (X,), {"axis": 1}),
    "modulo": ("Mod", (integers(-5, 5, 7), integers(3, 3, 4)), {"fmod": 0}),
    "not": ("Not", (X > 0,), {}),
    "power": ("Pow", (np.abs(X), np.array(1.5, np.float32)), {}),
    "scattered": ("ScatterElements", (X, WHERE, X[:, :2]), {"axis": 1, "reduction": "add"}),
    "scattered rows": ("ScatterND", (X, np.array([[0, 2], [1, 1]]), Y[:2]), {}),
    "added rows": ("ScatterND", (X, np.array([[0], [0]]), X), {"reduction": "add"}),
    "slice": ("Slice", (X, integers(-3, 1), integers(9, -1), integers(2, 1), integers(2, 1)), {}),
    "tile": ("Tile", (Y, integers(2, 3)), {}),
    "lower": ("Trilu", (Y, number(1)), {"upper": 0}),
    "upper": ("Trilu", (Y,), {"upper": 1}),
    "gelu": ("Gelu", (X,), {"approximate": "none"}),
    "rotary in turn": (
        "RotaryEmbedding",
        (
            X[None].repeat(2, 0)[:, :, :, :],
            Y[None, :, :2].repeat(2, 0),
            Y[None, :, 2:].repeat(2, 0),
        ),
        {"interleaved": 1},
    ),
    "rotary of a part": (
        "RotaryEmbedding",
        (X[None], Y[None, :, :1], Y[None, :, 1:2]),
        {"rotary_embedding_dim": 2},
    ),
    "softcap": ("Attention", (X[None], X[None] + 1, X[None]), {"scale": 0.3, "softcap": 2.0}),
}


def run(kind: str, inputs: tuple[np.ndarray, ...], attributes: dict[str, Any]) -> Any:
    """What onnxruntime gives, and what calibration gives."""
    values = [
        ir.Value(
            name=f"x{place}",
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
            shape=ir.Shape(array.shape),
        )
        for place, array in enumerate(inputs)
    ]
    packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
    node = ir.Node("", kind, values, packed, num_outputs=1, name="node")
    (found,) = operator_of(node)(*inputs)
    node.outputs[0].name = "y"
    node.outputs[0].type = ir.TensorType(ir.DataType.from_numpy(found.dtype))
    graph = ir.Graph(values, node.outputs, nodes=[node], opset_imports={"": OPSET}, name="one")
    feed = {f"x{place}": array for place, array in enumerate(inputs)}
    return found, OrtGraph(ir.Model(graph, ir_version=IR_VERSION))(**feed)["y"]


@pytest.mark.parametrize("case", CASES)
def test_an_operator_equals_onnxruntime(case):
    found, expected = run(*CASES[case])
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_every_operator_has_a_case():
    assert MORE.keys() <= {kind for kind, _, _ in CASES.values()}


def test_scores_come_summed_and_only_where_nothing_else_is_read():
    given = {"scale": 0.3, "qk_matmul_output_mode": SCORES_WITH_MASK}
    values = [ir.Value(name=name) for name in "qkv"]
    packed = [ir.convenience.convert_attribute(key, item) for key, item in given.items()]
    node = ir.Node("", "Attention", values, packed, num_outputs=4, name="node")
    with pytest.raises(UnsupportedError, match="scores"):
        operator_of(node)
    value, axes = node.outputs[3], ir.Value(name="axes")
    for kind, other in (("ReduceLogSumExp", axes), ("Sub", values[0]), ("Sigmoid", None)):
        value = ir.Node("", kind, [value, other] if other else [value], num_outputs=1).outputs[0]
    ir.Node("", "Mul", [node.outputs[0], value], num_outputs=1)
    mixed, _, _, totals = operator_of(node)(X[None], X[None], X[None])
    scores = 0.3 * X[None] @ X[None].swapaxes(2, 3)
    expected = np.log(np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(totals, expected, rtol=1e-5)
    assert mixed.shape == X[None].shape
