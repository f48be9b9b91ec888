"""Products with a matrix for each share of rows are found, with all that says so."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.expert_groups import common_pattern, expert_groups
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from tests.support.models import small_model

FLOAT, INT64 = ir.TensorType(ir.DataType.FLOAT), ir.TensorType(ir.DataType.INT64)


def parameter(name, *shape):
    weight = ArrayWeight(name, np.zeros(shape, np.float32))
    return ir.Value(name=name, type=FLOAT, shape=ir.Shape(shape), const_value=Parameter(weight))


def graph(*, count=3, biased=True, rows=(4, 4, 4), swapped=False):
    x = ir.Value(name="x", type=FLOAT, shape=ir.Shape(("n", 5)))
    given = ir.Value(name="given", type=INT64, shape=ir.Shape((count,)))
    nodes = [ir.Node("", "Identity", [given], num_outputs=1)]
    axis = [ir.convenience.convert_attribute("axis", 0)]
    nodes.append(ir.Node("", "Split", [x, nodes[0].outputs[0]], axis, num_outputs=count))
    ends, weights = [], []
    for number, share in enumerate(nodes[1].outputs):
        weight, bias = parameter(f"e.{number}.w", rows[number], 5), parameter(f"e.{number}.b", 4)
        order = [ir.convenience.convert_attribute("perm", (1, 0))]
        turned = ir.Node("", "Transpose", [weight], order, num_outputs=1)
        product = ir.Node("", "MatMul", [share, turned.outputs[0]], num_outputs=1)
        nodes += [turned, product]
        weights += [weight, bias]
        if biased:
            nodes.append(ir.Node("", "Add", [product.outputs[0], bias], num_outputs=1))
        ends.append(nodes[-1].outputs[0])
    ends = ends[::-1] if swapped else ends
    nodes.append(ir.Node("", "Concat", ends, axis, num_outputs=1))
    outputs = [nodes[-1].outputs[0]]
    made = ir.Graph(
        [x, given], outputs, nodes=nodes, initializers=weights, opset_imports={"": 24}, name="some"
    )
    return ir.Model(made, ir_version=11)


@pytest.mark.parametrize("biased", [False, True])
def test_a_group_is_found(biased):
    model = graph(biased=biased)
    (group,) = expert_groups(model)
    names = {place: [value.name for value in own] for place, own in group.parameters.items()}
    biases = {(1, 1): ["e.0.b", "e.1.b", "e.2.b"]} if biased else {}
    assert names == {(0, 1): ["e.0.w", "e.1.w", "e.2.w"]} | biases
    assert group.x.name == "x" and group.result is model.graph.outputs[0]
    assert group.steps[0].op_type == "Split" and group.steps[-1].op_type == "Concat"
    assert len(group.steps) == 2 + 3 * (3 if biased else 2)


def test_whole_mlps_are_a_group():
    model = small_model("mixtral").graph()
    groups = expert_groups(model)
    assert len(groups) == 2
    for group in groups:
        kinds = [node.op_type for node in group.lanes[0]]
        assert sorted(kinds) == ["MatMul", "MatMul", "MatMul", "Mul", "Mul", "Sigmoid"]
        assert len(group.parameters) == 3


@pytest.mark.parametrize("changes", [{"rows": (4, 3, 4)}, {"swapped": True}])
def test_what_is_not_alike_is_no_group(changes):
    assert expert_groups(graph(**changes)) == []


def test_a_matrix_that_others_read_is_in_no_group():
    model = graph()
    first = model.graph.initializers["e.0.w"]
    model.graph.append(ir.Node("", "Neg", [first], num_outputs=1))
    assert expert_groups(model) == []


def test_names_that_count():
    assert common_pattern(["e.0.0.w", "e.0.1.w"]) == "e.0.{}.w"
    assert common_pattern(["e.1.w", "e.0.w"]) is None
    assert common_pattern(["e.0.w", "f.1.w"]) is None
