"""Causal convolutions are found whole, and refused where they are written otherwise."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from convert.errors import PassRefusedError
from passes.convolutions import causal_convolutions
from passes.kv_cache import DynamicCache
from tests.support.models import small_model

FIRST = "model.layers.0.self_attn.lf_gate.conv1"


@pytest.fixture
def graph():
    return small_model("yuan").graph()


def node(graph, name):
    return next(node for node in graph.graph if node.name == f"{FIRST}.{name}")


@pytest.mark.parametrize("cache", [None, DynamicCache()], ids=["no cache", "cache"])
def test_every_convolution_is_found_with_what_it_sees(graph, cache):
    if cache is not None:
        cache(graph)
    found = list(causal_convolutions(graph))
    assert [one.scope.rpartition(".")[2] for one in found] == ["conv1", "conv2"] * 2
    one = found[0]
    assert (one.scope, one.kernel, one.bias.name) == (FIRST, 2, f"{FIRST}.bias")
    assert one.tokens.name == f"{FIRST}.Mul"
    assert str(one.window.shape) == "[batch,sequence+1,48]"
    assert one.joint.op_type == ("Pad" if cache is None else "Concat")
    assert str(one.output.shape) == "[batch,sequence,24]"


def stride(graph):
    node(graph, "Conv").attributes["strides"] = ir.AttrInt64s("strides", [2, 1])


def future(graph):
    pads = ir.tensor([0, 0, 0, 0, 1, 0], name="pads_1")
    graph.graph.initializers["pads_1"].const_value = pads


def no_bias(graph):
    node(graph, "Conv").resize_inputs(2)


def read_twice(graph):
    graph.graph.outputs.append(node(graph, "Conv").outputs[0])
    extra = ir.Node("", "Identity", (node(graph, "Conv").outputs[0],), name="extra")
    graph.graph.append(extra)


def no_image(graph):
    node(graph, "Conv").replace_input_with(0, graph.graph.inputs[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (stride, "over the tokens before"),
        (future, "over the tokens before"),
        (no_bias, "weight and bias"),
        (read_twice, "does not feed a Squeeze alone"),
        (no_image, "does not read a Unsqueeze"),
    ],
)
def test_another_convolution_is_refused_by_name(graph, change, reason):
    change(graph)
    with pytest.raises(PassRefusedError, match=reason) as caught:
        list(causal_convolutions(graph))
    assert caught.value.node == f"{FIRST}.Conv"
