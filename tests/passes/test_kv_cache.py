"""With a growing KV cache the graph computes what it computed without one."""

from __future__ import annotations

import numpy as np
import pytest

from convert.graph import attention_nodes
from passes.kv_cache import BEAM_IDX, FORM, DynamicCache, StatefulCache
from tests.support.decoding import cache_inputs, growing, step
from tests.support.models import position_ids, random_ids, small_model
from tests.support.odd_models import EXPERT_MODELS, ODD_MODELS
from tests.support.ort import OrtGraph, relative_error

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""


MODELS = {
    **ODD_MODELS,
    "mixtral": EXPERT_MODELS["mixtral"],
    "qwen2_moe": EXPERT_MODELS["qwen2_moe"],
}


@pytest.fixture(scope="module", params=MODELS, ids=str)
def model(request):
    family, changes = MODELS[request.param]
    return small_model(family, **changes)


@pytest.fixture(params=[DynamicCache, StatefulCache], ids=lambda form: form.form)
def cached(request, model):
    graph = model.graph()
    assert request.param()(graph)
    return graph


@pytest.mark.parametrize("pieces", [[1] * 11, [7, 1, 1, 1, 1], [3, 4, 4]], ids=str)
def test_logits_do_not_depend_on_how_the_text_is_cut(model, cached, pieces):
    ids = random_ids(1, 11, model.config.vocab)
    found = growing(cached, ids, np.ones_like(ids), pieces)
    assert relative_error(found, model.logits(ids)) < TOLERANCE


def test_a_left_padded_batch_continues_token_by_token(model, cached):
    ids = random_ids(2, 12, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :5] = 0
    found = growing(cached, ids, mask, [8, 1, 1, 1, 1])
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


def test_inputs_and_outputs_are_named_as_optimum_names_them():
    model = small_model("llama")
    graph = model.graph()
    DynamicCache()(graph)
    caches = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    assert [value.name for value in graph.graph.inputs] == [
        "input_ids",
        "attention_mask",
        "position_ids",
        *(f"past_key_values.{cache}" for cache in caches),
    ]
    assert [value.name for value in graph.graph.outputs] == [
        "logits",
        *(f"present.{cache}" for cache in caches),
    ]
    assert str(graph.graph.inputs[3].shape) == "[batch,2,past_sequence,8]"
    assert str(graph.graph.outputs[1].shape) == "[batch,2,total_sequence,8]"
    assert graph.metadata_props[FORM] == "dynamic"


def test_the_stateful_form_reorders_beams():
    """Swapping the beams between steps equals swapping the texts."""
    model = small_model("qwen3", head_dim=12)
    graph = model.graph()
    StatefulCache()(graph)
    assert [value.name for value in graph.graph.inputs].count(BEAM_IDX) == 1
    ids = random_ids(2, 9, model.config.vocab)
    mask, run = np.ones_like(ids), OrtGraph(graph)
    cache = cache_inputs(graph, 2, 0)
    swap = np.array([1, 0], np.int32)
    feed = {"attention_mask": mask[:, :8], "position_ids": position_ids(mask)[:, :8]}
    _, cache = step(run, cache, input_ids=ids[:, :8], beam_idx=np.flip(swap), **feed)
    feed = {"attention_mask": mask, "position_ids": position_ids(mask)[:, 8:]}
    found, _ = step(run, cache, input_ids=ids[:, 8:], beam_idx=swap, **feed)
    crossed = np.concatenate([ids[::-1, :8], ids[:, 8:]], axis=1)
    assert relative_error(found[:, 0], model.logits(crossed)[:, -1]) < TOLERANCE
    assert relative_error(found[:, 0], model.logits(ids)[:, -1]) > 0.1


@pytest.mark.parametrize("form", [DynamicCache, StatefulCache])
def test_attention_itself_has_past_and_present(form):
    graph = small_model("llama").graph()
    form()(graph)
    for layer, node in enumerate(attention_nodes(graph)):
        assert len(node.inputs) == 6
        assert [value.name for value in node.outputs[1:]] == [
            f"present.{layer}.key",
            f"present.{layer}.value",
        ]
        reads = [value.name for value in node.inputs[4:]]
        suffix = ".Gather" if form is StatefulCache else ""
        assert reads == [f"past_key_values.{layer}.{part}{suffix}" for part in ("key", "value")]
