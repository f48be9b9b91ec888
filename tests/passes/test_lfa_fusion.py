"""Fused, localized filtering computes what it did, by products of matrices alone."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import PassRefusedError
from convert.graph import Role, parameters, roles
from convert.weights import read_float32
from passes.base import fingerprint
from passes.kv_cache import DynamicCache
from passes.lfa_fusion import FORM, NOTE, LfaFusion
from passes.quantize import Policy, Quantize
from tests.support.models import position_ids, random_ids, small_model
from tests.support.odd_models import ODD_MODELS
from tests.support.ort import OrtGraph, relative_error

YUANS = {name: changes for name, (family, changes) in ODD_MODELS.items() if family == "yuan"}
TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""


@pytest.fixture(scope="module", params=YUANS, ids=str)
def model(request):
    return small_model("yuan", **YUANS[request.param])


def fused(model, form=None):
    graph = model.graph()
    assert LfaFusion(form)(graph)
    return graph


@pytest.mark.parametrize("form", ["pair", "collapsed"])
@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 13])
def test_logits_are_the_same(model, form, tokens):
    ids = random_ids(2, tokens, model.config.vocab)
    mask = np.ones_like(ids)
    run = OrtGraph(fused(model, form))
    found = run(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask))["logits"]
    assert relative_error(found, model.logits(ids)) < TOLERANCE


@pytest.mark.parametrize("form", ["pair", "collapsed"])
def test_each_row_of_a_left_padded_batch_gets_what_it_gets_alone(model, form):
    ids = random_ids(4, 7, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :1] = mask[2, :3] = mask[3, :6] = 0
    run = OrtGraph(fused(model, form))
    found = run(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask))["logits"]
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


def test_the_pair_keeps_the_weights_as_matrices_of_linear_layers():
    model = small_model("yuan")
    graph = fused(model)
    name = "model.layers.0.self_attn.lf_gate.conv1.weight"
    stored = model.weights[name].array
    assert roles(graph)[name] is Role.LINEAR
    found = read_float32(parameters(graph)[name].weight)
    np.testing.assert_array_equal(found, np.concatenate([stored[..., 0, 0], stored[..., 1, 0]], 1))
    assert parameters(graph).keys() == model.weights.keys()


def test_the_form_with_fewer_weights_is_chosen_and_the_choice_is_told():
    graph = fused(small_model("yuan", hidden_size=96, num_hidden_layers=2))
    assert graph.metadata_props[FORM] == "pair"
    pair, collapsed = 2 * (2 * 96 * 96) / 1e6, 2 * (3 * 96 * 96) / 1e6
    assert graph.metadata_props[NOTE] == (
        "localized filtering in 2 layers is two products over neighbouring tokens:"
        f" {pair:.2f} million weights to read in a step of decoding and {2 * pair:.2f} million"
        " operations a token of a prefill;"
        f" one product for both would have {collapsed:.2f} and {2 * collapsed:.2f} million"
    )
    assert "is one product for both" in fused(small_model("yuan"), "collapsed").metadata_props[NOTE]


def test_a_graph_without_filters_stays_as_it_is():
    graph = small_model("llama").graph()
    for form in (None, "pair", "collapsed"):
        assert not LfaFusion(form)(graph)


def test_behind_a_cache_only_the_pair_is_possible():
    model = small_model("yuan")
    graph = model.graph()
    DynamicCache()(graph)
    before = fingerprint(graph)
    with pytest.raises(PassRefusedError, match="two convolutions") as caught:
        LfaFusion("collapsed")(graph)
    assert caught.value.node == "model.layers.0.self_attn.lf_gate.conv1.Conv"
    assert fingerprint(graph) == before
    assert LfaFusion()(graph)
    assert graph.metadata_props[FORM] == "pair"


def test_a_quantized_convolution_is_refused():
    graph = small_model("yuan").graph()
    Quantize(Policy("f32", "f32", "f32", (), ("f32",)))(graph)
    with pytest.raises(PassRefusedError, match="quantized already"):
        LfaFusion()(graph)


def test_a_second_time_there_is_nothing_to_do(model):
    graph = fused(model)
    assert not LfaFusion()(graph)
