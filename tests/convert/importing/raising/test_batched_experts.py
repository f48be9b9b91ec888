"""Products with a matrix of each expert, written as products of each."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.expert_parts import parted
from convert.importing.expert_writing import WriteExperts
from convert.importing.raising.batched_experts import RaiseBatchedExperts
from tests.support.ort import OrtGraph

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def product(shape=(3, "tokens", 4), weight=(3, 4, 5)):
    x = ir.Value(name="x", type=FLOAT, shape=ir.Shape(shape))
    matrices = ir.Value(name="experts.up", type=FLOAT, shape=ir.Shape(weight))
    node = ir.Node("", "MatMul", [x, matrices], name="experts.MatMul")
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", FLOAT, ir.Shape((3, "tokens", 5))
    graph = ir.Graph([x], [y], nodes=[node], opset_imports={"": 24}, name="some")
    graph.initializers["experts.up"] = matrices
    return ir.Model(graph, ir_version=11)


def test_each_expert_multiplies_its_own_rows():
    model = product()
    assert RaiseBatchedExperts()(model)
    assert WriteExperts()(model)
    assert parted(model) == {"experts.up": 3}
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(3, 4, 5)).astype(np.float32)
    for number in range(3):
        value = model.graph.initializers[f"experts.{number}.up.weight"]
        value.const_value = ir.tensor(np.ascontiguousarray(whole[number].T), name=value.name)
    x = rng.normal(size=(3, 6, 4)).astype(np.float32)
    np.testing.assert_allclose(OrtGraph(model)(x=x)["y"], x @ whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shapes", [((1, "tokens", 4), (3, 4, 5)), ((3, "tokens", 4), (4, 5))])
def test_other_products_stay(shapes):
    assert not RaiseBatchedExperts()(product(*shapes))
