"""A builder's graph is one that onnxruntime runs, with one initializer a parameter."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.architectures.builder import IR_VERSION, OPSET, GraphBuilder
from convert.weights import ArrayWeight
from tests.support.ort import OrtGraph

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_small_graph_runs():
    b = GraphBuilder({"w": ArrayWeight("w", WEIGHT)})
    x = b.input("x", ir.DataType.FLOAT, ("rows", 3))
    w = b.parameter("w")
    assert b.parameter("w") is w
    assert b.shape(w) == (2, 3)
    turned = b.op("Transpose", w, name="m.Transpose", shape=(3, 2), perm=(1, 0))
    y = b.op("MatMul", x, turned, name="m.MatMul", shape=("rows", 2))
    z = b.op("Add", y, y, name="m.Add", output="z")
    model = b.model([z], "small")
    assert (model.ir_version, model.graph.opset_imports) == (IR_VERSION, {"": OPSET})
    assert [node.name for node in model.graph] == ["m.Transpose", "m.MatMul", "m.Add"]
    assert [value.name for node in model.graph for value in node.outputs] == [
        "m.Transpose",
        "m.MatMul",
        "z",
    ]
    assert str(z.shape) == "[rows,2]"
    rows = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(OrtGraph(model)(x=rows)["z"], 2 * rows @ WEIGHT.T)


def test_a_split_gives_parts_of_their_own_shape():
    b = GraphBuilder({})
    x = b.input("x", ir.DataType.FLOAT, ("rows", 6))
    parts = b.split(x, ("p", "q", "r"), name="cut", shape=("rows", 2), axis=-1)
    assert len({id(part.shape) for part in parts}) == 3
    columns = np.arange(12, dtype=np.float32).reshape(2, 6)
    found = OrtGraph(b.model(parts, "small"))(x=columns)
    assert list(found) == ["p", "q", "r"]
    np.testing.assert_array_equal(np.concatenate(list(found.values()), axis=1), columns)


def test_constants_are_made_once():
    b = GraphBuilder({})
    one = b.integer("one", 1)
    assert b.integer("one", 1) is one
    assert one.const_value.numpy().shape == ()
    axes = b.integers("axes", 1, 2)
    assert axes.const_value.numpy().tolist() == [1, 2]
    assert axes.dtype == ir.DataType.INT64


def test_each_value_has_a_shape_of_its_own():
    """Otherwise binding an axis of one value would change another."""
    b = GraphBuilder({})
    x = b.input("x", ir.DataType.FLOAT, ("rows", 3))
    y = b.op("Sigmoid", x, name="y")
    assert y.shape == x.shape
    assert y.shape is not x.shape
