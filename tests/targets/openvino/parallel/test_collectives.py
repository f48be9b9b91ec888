"""The operators keep their attributes in an IR and do what the exchange does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import openvino
import pytest
from openvino import opset13 as ops

from passes.sharding.collectives import all_gather, all_reduce
from targets.openvino.parallel.collectives import AllGather, lower_collective, operators


class Echo:
    """As if another rank had ten times as much."""

    def all_reduce(self, values):
        values *= 11

    def all_gather(self, part, lengths):
        assert len(part) == lengths[0]
        return [part, np.repeat(10 * part[:1], lengths[1], axis=0)]


def value(*shape):
    return ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))


def reread(tmp_path, node, exchange, size):
    """The IR of one collective, saved, read and compiled."""
    x = ops.parameter([-1, -1, size], np.float32)
    model = openvino.Model([ops.result(lower_collective(node, x))], [x], "collective")
    openvino.serialize(model, tmp_path / "m.xml", tmp_path / "m.bin")
    core = openvino.Core()
    for operator in operators(exchange):
        core.add_extension(operator)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(core.read_model(tmp_path / "m.xml"), "CPU", exact)


def test_a_sum(tmp_path):
    compiled = reread(tmp_path, all_reduce(value("b", "s", 4), 2), Echo(), 4)
    for tokens in (3, 1):  # the shape changes between runs
        x = np.random.default_rng(tokens).normal(size=(1, tokens, 4)).astype(np.float32)
        np.testing.assert_array_equal(compiled([x])[0], 11 * x)


@pytest.mark.parametrize("lengths", [[4, 4], [4, 7]])
def test_a_joint(tmp_path, lengths):
    compiled = reread(tmp_path, all_gather(value("b", "s", 4), 2, lengths), Echo(), 4)
    assert compiled.outputs[0].partial_shape[2].get_length() == sum(lengths)
    for tokens in (3, 1):
        x = np.random.default_rng(tokens).normal(size=(2, tokens, 4)).astype(np.float32)
        other = np.repeat(10 * x[..., :1], lengths[1], axis=2)
        np.testing.assert_array_equal(compiled([x])[0], np.concatenate([x, other], axis=2))


def test_what_goes_wrong_in_the_exchange_ends_the_inference(tmp_path):
    class Broken(Echo):
        def all_reduce(self, values):
            raise RuntimeError("a rank is gone")

    compiled = reread(tmp_path, all_reduce(value("b", "s", 4), 2), Broken(), 4)
    with pytest.raises(RuntimeError, match="a rank is gone"):
        compiled([np.ones((1, 1, 4), np.float32)])


def test_without_an_exchange_nothing_is_carried_out():
    x = ops.parameter([-1, 4], np.float32)
    node = lower_collective(all_gather(value("b", 4), 1, [4, 4]), x)
    assert isinstance(node, AllGather)
    assert node.attributes == {"group_size": 2, "axis": 1, "lengths": [4, 4]}
    assert not node.has_evaluate()
