"""Each operator equals onnxruntime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures.builder import IR_VERSION, OPSET
from convert.errors import UnsupportedError
from passes.calibration.attention import attention
from passes.calibration.more_operators import MORE
from passes.calibration.operators import OPERATORS, operator_of
from tests.support.ort import OrtGraph

RANDOM = np.random.default_rng(7)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 3, shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def scalar(value: int) -> np.ndarray:
    return np.array(value, np.int64)


def booleans(*shape: int) -> np.ndarray:
    return RANDOM.random(shape) < 0.5


QUERIES, KEYS = floats(2, 6, 5, 8), floats(2, 2, 7, 8)
ALLOWED = np.tril(np.ones((2, 1, 5, 7), bool), 2)

CASES: dict[str, tuple[str, list[np.ndarray], dict[str, Any]]] = {
    "add, spread": ("Add", [floats(2, 3, 4), floats(4)], {}),
    "and": ("And", [booleans(3, 4), booleans(3, 4)], {}),
    "attention, no mask": ("Attention", [QUERIES, KEYS, KEYS + 1], {"scale": 0.3}),
    "attention, bool mask": ("Attention", [QUERIES, KEYS, KEYS + 1, ALLOWED], {"scale": 0.3}),
    "attention, float mask": (
        "Attention",
        [QUERIES, KEYS, KEYS + 1, np.where(ALLOWED, floats(2, 6, 5, 7), np.float32(-1e30))],
        {"scale": 0.3},
    ),
    "cast to float": ("Cast", [integers(3, -1)], {"to": ir.DataType.FLOAT}),
    "cast to bool": ("Cast", [integers(3, 0)], {"to": ir.DataType.BOOL}),
    "concat": ("Concat", [floats(2, 3), floats(2, 1)], {"axis": -1}),
    "cos": ("Cos", [floats(50) * 1000], {}),
    "div": ("Div", [floats(5), floats(5)], {}),
    "div of integers": ("Div", [integers(0, 5, 6), scalar(3)], {}),
    "equal": ("Equal", [integers(1, 2), integers(2, 2)], {}),
    "gather": ("Gather", [integers(5, 6, 7), np.array([[2, 0]])], {"axis": 0}),
    "gather columns": ("Gather", [floats(2, 4), integers(3, 3, 0)], {"axis": 1}),
    "gelu": ("Gelu", [floats(50) * 3], {"approximate": "tanh"}),
    "greater": ("Greater", [integers(1, 2, 3), integers(2, 2, 2)], {}),
    "layer norm": (
        "LayerNormalization",
        [floats(2, 3, 16) + 5, floats(16), floats(16)],
        {"axis": -1, "epsilon": 1e-5},
    ),
    "layer norm, no bias": (
        "LayerNormalization",
        [floats(2, 3, 16), floats(16)],
        {"axis": -1, "epsilon": 0.1},
    ),
    "less or equal": ("LessOrEqual", [integers(1, 2, 3), integers(2, 2, 2)], {}),
    "matmul": ("MatMul", [floats(2, 3, 4), floats(4, 5)], {}),
    "mul": ("Mul", [floats(3, 1), floats(1, 4)], {}),
    "neg": ("Neg", [floats(3)], {}),
    "or": ("Or", [booleans(3, 4), booleans(4)], {}),
    "pad": ("Pad", [floats(2, 3, 4), integers(0, 1, 0, 0, 0, 2)], {}),
    "range": ("Range", [scalar(2), scalar(9), scalar(3)], {}),
    "reduce sum": ("ReduceSum", [floats(2, 3, 4), integers(0, -1)], {"keepdims": 0}),
    "reduce sum of integers": ("ReduceSum", [integers(3, 4), integers(0)], {}),
    "reshape": ("Reshape", [floats(2, 3, 4), integers(0, -1, 2)], {}),
    "rms norm": (
        "RMSNormalization",
        [floats(2, 3, 16), floats(16)],
        {"axis": -1, "epsilon": 1e-5},
    ),
    "rotary": ("RotaryEmbedding", [floats(2, 3, 5, 8), floats(2, 5, 4), floats(2, 5, 4)], {}),
    "shape": ("Shape", [floats(2, 3, 4)], {"start": 1}),
    "sigmoid": ("Sigmoid", [np.array([-200, -1, 0, 1, 200], np.float32)], {}),
    "sin": ("Sin", [floats(50) * 1000], {}),
    "softmax": ("Softmax", [floats(2, 9) * 100], {"axis": -1}),
    "split": ("Split", [floats(2, 9)], {"axis": -1, "num_outputs": 3}),
    "split unevenly": ("Split", [floats(2, 9), integers(2, 7, 0)], {"axis": 1}),
    "squeeze": ("Squeeze", [floats(2, 1, 3, 1), integers(1, 3)], {}),
    "sub": ("Sub", [integers(5, 6), integers(1, 2)], {}),
    "top k": ("TopK", [floats(2, 9), integers(4)], {"axis": -1, "largest": 1, "sorted": 1}),
    "top k of equals": (
        "TopK",
        [integers(2, 0, 2, 0, 1, 0, 2, 2, 0), integers(9)],
        {"axis": 0, "largest": 0, "sorted": 1},
    ),
    "transpose": ("Transpose", [floats(2, 3, 4)], {"perm": [2, 0, 1]}),
    "unsqueeze": ("Unsqueeze", [floats(2, 3), integers(1, 2)], {}),
    "where": ("Where", [booleans(2, 1, 4), floats(3, 4), floats(1)], {}),
}


def node_of(kind: str, inputs: list[np.ndarray], attributes: dict[str, Any], outputs: int):
    values = [
        ir.Value(name=f"x{place}", type=ir.TensorType(ir.DataType.from_numpy(array.dtype)))
        for place, array in enumerate(inputs)
    ]
    for value, array in zip(values, inputs, strict=True):
        value.shape = ir.Shape(array.shape)
    packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
    return ir.Node("", kind, values, packed, num_outputs=outputs, name="node")


OUTPUTS = {"Split": 3, "TopK": 2}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_equals_onnxruntime(case):
    kind, inputs, attributes = CASES[case]
    node = node_of(kind, inputs, attributes, outputs=OUTPUTS.get(kind, 1))
    found = operator_of(node)(*inputs)
    for place, (value, array) in enumerate(zip(node.outputs, found, strict=True)):
        value.name, value.dtype = f"y{place}", ir.DataType.from_numpy(array.dtype)
        value.shape = ir.Shape(array.shape)
    graph = ir.Graph(node.inputs, node.outputs, nodes=[node], opset_imports={"": OPSET}, name="g")
    run = OrtGraph(ir.Model(graph, ir_version=IR_VERSION))
    expected = run(**{f"x{place}": array for place, array in enumerate(inputs)})
    for place, array in enumerate(found):
        want = expected[f"y{place}"]
        assert (array.dtype, array.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(array, want, rtol=1e-5, atol=1e-5)


def test_every_operator_has_a_case():
    assert {kind for kind, _, _ in CASES.values()} == OPERATORS.keys() - MORE.keys()


def test_a_negative_infinity_in_the_mask_hides_a_key():
    mask = np.where(ALLOWED, np.float32(0), np.float32(-np.inf))
    found = attention(QUERIES, KEYS, KEYS, mask, scale=1.0)
    np.testing.assert_allclose(found, attention(QUERIES, KEYS, KEYS, ALLOWED, scale=1.0))


def test_an_operator_of_another_domain_is_refused():
    node = ir.Node("somewhere.else", "Add", [], name="node")
    with pytest.raises(UnsupportedError, match="the operator Add"):
        operator_of(node)
