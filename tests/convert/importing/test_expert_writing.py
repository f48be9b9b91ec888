"""Products with the matrices of experts, written out for each."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.deriving import TURNED, derivations
from convert.importing.expert_parts import parted
from convert.importing.expert_writing import WriteExperts
from tests.support.ort import OrtGraph

EXPERTS, WIDE, NARROW = 5, 4, 3
FLOAT, INT64 = ir.DataType.FLOAT, ir.DataType.INT64


def graph(*, turned, biased):
    """Two products with the experts of the same visits, the second back."""
    x = ir.Value(name="x", type=ir.TensorType(FLOAT), shape=ir.Shape(("visits", WIDE)))
    visits = ir.Value(name="v", type=ir.TensorType(INT64), shape=ir.Shape(("visits",)))
    nodes, parameters, value = [], [], x
    for name, rows, columns in (("up", NARROW, WIDE), ("down", WIDE, NARROW)):
        shape = (EXPERTS, columns, rows) if turned else (EXPERTS, rows, columns)
        weight = ir.Value(name=f"m.{name}", type=ir.TensorType(FLOAT), shape=ir.Shape(shape))
        bias = ir.Value(
            name=f"m.{name}_bias", type=ir.TensorType(FLOAT), shape=ir.Shape((EXPERTS, rows))
        )
        own = [weight, bias] if biased else [weight]
        parameters += own
        attribute = ir.convenience.convert_attribute("turned", int(turned))
        result = ir.Value(type=ir.TensorType(FLOAT), shape=ir.Shape(("visits", rows)))
        inputs = [value, visits, *own]
        nodes.append(
            ir.Node("tricast", "ExpertLinear", inputs, [attribute], outputs=[result], name=name)
        )
        value = result
    value.name = "y"
    imports = {"": 24, "tricast": 1}
    made = ir.Graph([x, visits], [value], nodes=nodes, opset_imports=imports, name="some")
    for parameter in parameters:
        made.initializers[parameter.name] = parameter
    return ir.Model(made, ir_version=11)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_each_row_is_multiplied_with_its_experts_matrix(turned, biased):
    model = graph(turned=turned, biased=biased)
    assert WriteExperts().rewrite(model)
    WriteExperts().ensures(model)
    assert not WriteExperts().rewrite(model)
    rng = np.random.default_rng(0)
    for name, value in model.graph.initializers.items():
        if value.const_value is None:
            values = rng.normal(size=value.shape.numpy()).astype(np.float32)
            value.const_value = ir.tensor(values, name=name)
    # The third expert is visited by nobody.
    visits = np.array([4, 0, 1, 0, 3, 3, 0])
    y = x = rng.normal(size=(len(visits), WIDE)).astype(np.float32)
    found = OrtGraph(model)(x=x, v=visits)["y"]
    for name in ("up", "down"):
        rows = []
        for row, expert in zip(y, np.sort(visits), strict=True):
            matrix = model.graph.initializers[f"m.{expert}.{name}.weight"].const_value.numpy()
            rows.append(matrix @ row)
            if biased:
                rows[-1] += model.graph.initializers[f"m.{expert}.{name}.bias"].const_value.numpy()
        y = np.stack(rows)
    np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)


def test_parts_and_turned_matrices_are_noted():
    model = graph(turned=True, biased=True)
    WriteExperts().rewrite(model)
    assert parted(model) == dict.fromkeys(("m.up", "m.up_bias", "m.down", "m.down_bias"), EXPERTS)
    turned = {f"m.{number}.{name}.weight" for number in range(EXPERTS) for name in ("up", "down")}
    assert derivations(model) == dict.fromkeys(turned, TURNED)
    assert "tricast" not in model.graph.opset_imports


def test_visits_are_counted_once():
    model = graph(turned=False, biased=False)
    WriteExperts().rewrite(model)
    assert sum(node.op_type == "ReduceSum" for node in model.graph) == 1
    assert sum(node.op_type == "Split" for node in model.graph) == 2


def test_a_graph_without_experts_stays():
    empty = ir.Graph([], [], nodes=[], opset_imports={"": 24}, name="some")
    assert not WriteExperts().rewrite(ir.Model(empty, ir_version=11))
