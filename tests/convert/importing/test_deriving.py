"""Weights that a graph wants otherwise than a checkpoint has them are noted, and made."""

import numpy as np
import onnx_ir as ir

from convert.importing.deriving import Derive, as_wanted, checkpoint_shape, derivations
from convert.weights import ArrayWeight, read_float32
from tests.support.imported import formula


def test_products_by_matrices_in_out_are_turned():
    model, _ = formula(lambda x, positions: x @ x.transpose(1, 2))
    assert Derive()(model) is False
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2, 3)))
    w = ir.Value(name="w", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((3, 4)))
    node = ir.Node("", "MatMul", (x, w), name="layer.MatMul")
    graph = ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 24}, name="some")
    graph.initializers["w"] = w
    made = ir.Model(graph, ir_version=11)
    assert Derive()(made) is True
    assert derivations(made) == {"w": "turned"}
    assert str(w.shape) == "[4,3]"
    stored = ArrayWeight("w", np.arange(12, dtype=np.float32).reshape(3, 4))
    found = as_wanted({"w": stored, "other": stored}, made)
    np.testing.assert_array_equal(read_float32(found["w"]), stored.array.T)
    assert found["other"] is stored
    assert checkpoint_shape((4, 3), "turned") == (3, 4)
    assert checkpoint_shape((4,), 1.0) == (4,)
