"""What convolutions remember: no cut of a text and no padding changes a logit."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import PassRefusedError
from convert.graph import QUERY_KEPT, find_value
from passes.base import fingerprint
from passes.kv_cache import DynamicCache, StatefulCache, StaticCache
from passes.lfa_fusion import LfaFusion
from passes.token_state import token_states
from tests.support.decoding import cache_inputs, fixed, growing, step
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph, relative_error

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""

PASSES = {
    "as they are": [],
    "a pair": [LfaFusion("pair")],
    "collapsed": [LfaFusion("collapsed")],
}


@pytest.fixture(scope="module")
def model():
    return small_model("yuan")


@pytest.fixture(params=PASSES, ids=str)
def fusion(request):
    return PASSES[request.param]


def rewritten(model, *passes):
    graph = model.graph()
    for rewrite in passes:
        assert rewrite(graph)
    return graph


@pytest.mark.parametrize("form", [DynamicCache(), StatefulCache()], ids=lambda form: form.form)
def test_every_cut_in_two_gives_the_same(model, fusion, form):
    ids = random_ids(1, 12, model.config.vocab)
    expected = model.logits(ids)
    graph = rewritten(model, *fusion, form)
    for cut in range(1, 12):
        found = growing(graph, ids, np.ones_like(ids), [cut, 12 - cut])
        assert relative_error(found, expected) < TOLERANCE, cut


def test_fused_behind_the_cache_it_gives_the_same(model):
    ids = random_ids(1, 7, model.config.vocab)
    graph = rewritten(model, DynamicCache(), LfaFusion())
    found = growing(graph, ids, np.ones_like(ids), [1, 2, 1, 3])
    assert relative_error(found, model.logits(ids)) < TOLERANCE


@pytest.mark.parametrize("pieces", [[9], [4, 5], [5, 4], [6, 1, 1, 1], [1] * 9], ids=str)
def test_padding_on_the_left_may_be_cut_anywhere(model, fusion, pieces):
    ids = random_ids(3, 9, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :5] = mask[2, :8] = 0
    graph = rewritten(model, *fusion, DynamicCache())
    found = growing(graph, ids, mask, pieces)
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


def test_padding_on_the_right_of_a_prompt_is_not_remembered(model, fusion):
    """Rows of 5 and 3 tokens go on together; the padding between is masked."""
    ids = random_ids(2, 9, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, 3:5] = 0
    graph = rewritten(model, *fusion, DynamicCache())
    found = growing(graph, ids, mask, [5, 1, 3])
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


@pytest.mark.parametrize(("prompt", "bucket"), [(1, 1), (1, 4), (2, 4), (4, 4)])
def test_the_static_form(model, fusion, prompt, bucket):
    ids = random_ids(2, 8, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, : prompt - 1] = 0
    prefill = rewritten(model, *fusion, StaticCache(2, bucket, 12))
    decode = rewritten(model, *fusion, StaticCache(2, 1, 12))
    found = fixed(prefill, decode, ids, mask, prompt)
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


def test_a_second_prompt_is_not_the_continuation_of_the_first(model):
    """The test above would not see it if states were ignored."""
    graph = rewritten(model, LfaFusion(), DynamicCache())
    ids, run = random_ids(1, 6, model.config.vocab), OrtGraph(graph)
    mask = np.ones_like(ids)
    feed = {"attention_mask": mask[:, :3], "position_ids": position_ids(mask)[:, :3]}
    _, cache = step(run, cache_inputs(graph, 1, 0), input_ids=ids[:, :3], **feed)
    forgetful = {
        name: np.zeros_like(value) if "conv" in name else value for name, value in cache.items()
    }
    feed = {"attention_mask": mask, "position_ids": position_ids(mask)[:, 3:]}
    found, _ = step(run, forgetful, input_ids=ids[:, 3:], **feed)
    assert relative_error(found[:, 0], model.logits(ids)[:, 3]) > 0.1


def test_beams_take_their_states_along(model, fusion):
    graph = rewritten(model, *fusion, StatefulCache())
    ids, run = random_ids(3, 7, model.config.vocab), OrtGraph(graph)
    mask, beams = np.ones_like(ids), np.array([2, 0, 0], np.int32)
    feed = {"attention_mask": mask[:, :5], "position_ids": position_ids(mask)[:, :5]}
    own = np.arange(3, dtype=np.int32)
    _, cache = step(run, cache_inputs(graph, 3, 0), input_ids=ids[:, :5], beam_idx=own, **feed)
    feed = {"attention_mask": mask, "position_ids": position_ids(mask)[:, 5:]}
    found, _ = step(run, cache, input_ids=ids[:, 5:], beam_idx=beams, **feed)
    crossed = np.concatenate([ids[beams, :5], ids[:, 5:]], axis=1)
    assert relative_error(found, model.logits(crossed)[:, 5:]) < TOLERANCE


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([], {"0.conv1": "[batch,1,48]", "0.conv2": "[batch,1,24]"}),
        (
            [LfaFusion("collapsed")],
            {"0.lf_gate": "[batch,2,48]", "0.query_kept": "[batch,1,1]"},
        ),
    ],
)
def test_states_are_named_by_layer_and_module(passes, expected):
    graph = rewritten(small_model("yuan", num_hidden_layers=1), *passes)
    assert {state.name: str(state.shape) for state in token_states(graph)} == expected
    DynamicCache()(graph)
    for side, values in (("past_key_values", graph.graph.inputs), ("present", graph.graph.outputs)):
        shapes = {value.name: str(value.shape) for value in values}
        for name, shape in expected.items():
            assert shapes[f"{side}.{name}"] == shape


@pytest.mark.parametrize("form", [DynamicCache(), StaticCache(1, 1, 8)], ids=lambda form: form.form)
def test_a_graph_that_does_not_tell_padding_is_refused(model, form):
    graph = model.graph()
    find_value(graph, QUERY_KEPT).name = "other"
    before = fingerprint(graph)
    with pytest.raises(PassRefusedError, match="padding would be remembered") as caught:
        form(graph)
    assert caught.value.node == "model.layers.0.self_attn.lf_gate.conv1.Pad"
    assert fingerprint(graph) == before
