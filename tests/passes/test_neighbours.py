"""Which convolutions belong together, and the products that they become."""

from __future__ import annotations

import pytest

from convert.convolution_weights import CarriedBias, CollapsedTaps, Taps
from convert.graph import parameters
from passes.convolutions import causal_convolutions
from passes.neighbours import collapse, filters, fuse
from tests.support.models import small_model

GATE = "model.layers.0.self_attn.lf_gate"


@pytest.fixture
def graph():
    return small_model("yuan", num_hidden_layers=1).graph()


def test_a_filter_is_two_convolutions_with_the_mask_between(graph):
    (found,) = filters(list(causal_convolutions(graph)))
    assert found.scope == GATE
    assert (found.inner.scope, found.outer.scope) == (f"{GATE}.conv1", f"{GATE}.conv2")
    assert found.kept.name == "query_kept.Unsqueeze"
    assert (found.weights, found.collapsed.shape) == (2 * 48 * 48, (48, 3 * 48))


def test_an_inner_convolution_that_others_read_belongs_to_none(graph):
    inner, _ = causal_convolutions(graph)
    graph.graph.outputs[0].producer().replace_input_with(0, inner.output)
    assert filters(list(causal_convolutions(graph))) == []


def test_each_convolution_becomes_one_product(graph):
    for one in list(causal_convolutions(graph)):
        fuse(graph.graph, one)
    for name, shape in (("conv1", (24, 96)), ("conv2", (48, 48))):
        weight = parameters(graph)[f"{GATE}.{name}.weight"].weight
        assert isinstance(weight, Taps)
        assert weight.shape == tuple(graph.graph.initializers[weight.name].shape) == shape


def test_both_become_one_product_and_a_bias_that_waits_for_a_token(graph):
    (both,) = filters(list(causal_convolutions(graph)))
    collapse(graph.graph, both)
    new = {name: one.weight for name, one in parameters(graph).items() if "conv" not in name}
    assert isinstance(new[f"{GATE}.weight"], CollapsedTaps)
    assert isinstance(new[f"{GATE}.bias"], CarriedBias)
    late = new[f"{GATE}.tap_0.bias"]
    assert (late.taps, late.added) == ((0,), None)
    masked = next(node for node in graph.graph if node.name == f"{GATE}.tap_0.Mul")
    assert [value.name for value in masked.inputs] == ["query_kept.past_1", late.name]
