"""The collectives carry what ONNX Runtime's operators of these names need."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from passes.sharding.collectives import all_gather, all_reduce, declare, is_collective

X = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(("b", 8)))


def test_a_sum_keeps_the_shape():
    node = all_reduce(X, 4)
    assert (node.domain, node.op_type, node.name) == ("com.microsoft", "AllReduce", "x.AllReduce")
    assert node.attributes["group_size"].as_int() == 4
    assert str(node.outputs[0].shape) == "[b,8]"


@pytest.mark.parametrize(("lengths", "given"), [([8, 8], False), ([8, 5], True)])
def test_a_joint_says_lengths_only_if_they_differ(lengths, given):
    node = all_gather(X, 1, lengths)
    assert node.attributes["group_size"].as_int() == 2
    assert node.attributes["axis"].as_int() == 1
    assert ("lengths" in node.attributes) is given
    assert str(node.outputs[0].shape) == f"[b,{sum(lengths)}]"


def test_only_these_are_collectives():
    assert is_collective(all_reduce(X, 2))
    assert not is_collective(ir.Node("", "AllReduce", [X]))


def test_the_domain_is_declared():
    model = ir.Model(ir.Graph([X], [X], nodes=[], opset_imports={"": 24}), ir_version=11)
    declare(model)
    assert model.graph.opset_imports["com.microsoft"] == 1
