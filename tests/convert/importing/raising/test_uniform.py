"""Conditions that say nothing go, whatever the lengths are."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.raising.tidying import Tidy
from convert.importing.raising.uniform import DropUniform
from tests.support.imported import VOCAB, formula, plain_feed
from tests.support.ort import OrtGraph


def kinds_after(function):
    model, call = formula(function)
    Tidy()(model)
    DropUniform()(model)
    ids = np.random.default_rng(1).integers(0, VOCAB, (2, 5))
    np.testing.assert_array_equal(OrtGraph(model)(**plain_feed(ids))["logits"], call(ids))
    return {node.op_type for node in model.graph}


def groups(x, number):
    """The group of each token, all the same; as models say which tokens are of an image."""
    import torch

    return torch.where(torch.zeros_like(x)[..., 0] == 1, number, -1)


@pytest.mark.slow
def test_groups_that_no_token_is_in():
    import torch

    def function(x, positions):
        group = torch.nn.functional.pad(groups(x, 3), (0, 2), value=-1)[:, : x.shape[1]]
        same = (group[:, :, None] == group[:, None]) & (group[:, :, None] >= 0)
        near = positions[:, :, None] < positions[:, None]
        return torch.where(near | same, 1.0, 2.0) @ x

    assert "Or" not in kinds_after(function)


@pytest.mark.slow
def test_conditions_that_differ_stay():
    import torch

    def function(x, positions):
        group = torch.where(positions == 1, 3, -1)
        near = positions < 4
        return torch.where((near | (group >= 0))[..., None], x, 2 * x)

    assert "Or" in kinds_after(function)


def test_a_condition_is_dropped_where_shapes_are_equal():
    def model(shape):
        number = ir.Value(name="all", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape((2, 3)))
        number.const_value = ir.tensor(np.ones((2, 3), bool), name="all")
        x = ir.Value(name="x", type=number.type, shape=ir.Shape(shape))
        node = ir.Node("", "And", [number, x], name="both")
        node.outputs[0].name, node.outputs[0].type = "both", number.type
        node.outputs[0].shape = ir.Shape((2, 3))
        graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[number])
        return ir.Model(graph, ir_version=11)

    assert DropUniform()(model((2, 3)))
    assert not DropUniform()(model((1, 3)))
