"""The lowered graph computes what transformers computes: prefill, cache, padding, beams."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from convert.errors import UnsupportedError
from targets.openvino.lower import lower
from targets.openvino.run import EXACT, OpenVinoRunner
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import relative_error
from tests.targets.openvino.artifacts import convert

TOLERANCE = 1e-4

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

MODELS = {
    "llama": ("llama", {}),
    "llama-biased-tied": (
        "llama",
        {"head_dim": 10, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ),
    "llama-1-to-1": ("llama", {"num_key_value_heads": 6}),
    "llama-8-to-1": ("llama", {"num_attention_heads": 8, "num_key_value_heads": 1}),
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "llama-linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
    ),
    "mistral-window": ("mistral", {"sliding_window": 4}),
    "mixtral": ("mixtral", {}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2_moe": ("qwen2_moe", {}),
    "qwen3_moe": ("qwen3_moe", {"head_dim": 14}),
    "qwen3": ("qwen3", {"head_dim": 14}),
    "bloom": ("bloom", {}),
    "bloom-4-heads-untied": ("bloom", {"num_attention_heads": 4, "tie_word_embeddings": False}),
    "bloom-7-heads-3-layers": (
        "bloom",
        {"num_attention_heads": 7, "hidden_size": 56, "num_hidden_layers": 3},
    ),
    "bloom-12-heads-residual-of-norm": (
        "bloom",
        {"num_attention_heads": 12, "apply_residual_connection_post_layernorm": True},
    ),
    "yuan": ("yuan", {}),
    "yuan-2-heads-1-layer": (
        "yuan",
        {"num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 36},
    ),
}


@pytest.fixture(scope="module", params=MODELS, ids=str)
def case(request, tmp_path_factory):
    model_type, overrides = MODELS[request.param]
    model = small_model(model_type, **overrides)
    folder = convert(model, tmp_path_factory.mktemp(request.param))
    return model, OpenVinoRunner(folder, threads=2, overrides=EXACT)


def test_prefill_and_cached_steps_match_transformers(case):
    model, runner = case
    ids = random_ids(1, 11, model.config.vocab)
    expected = model.logits(ids)[0]
    for prefill in (11, 5, 1):
        found = runner.logits(ids[0].tolist(), prefill)
        assert relative_error(found, expected) < TOLERANCE


def test_a_left_padded_batch_matches_each_sequence(case):
    model, runner = case
    ids = random_ids(3, 9, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :4] = mask[2, :7] = 0
    positions = position_ids(mask)
    runner.reset()
    first = runner.feed_batch(ids[:, :8], attention_mask=mask[:, :8], position_ids=positions[:, :8])
    last = runner.feed_batch(ids[:, 8:], attention_mask=mask, position_ids=positions[:, 8:])
    found = np.concatenate([first, last], axis=1)
    for row, start in enumerate((0, 4, 7)):
        alone = model.logits(ids[row : row + 1, start:])[0]
        assert relative_error(found[row, start:], alone) < TOLERANCE


def test_beams_are_reordered(case):
    model, runner = case
    ids = random_ids(2, 6, model.config.vocab)
    runner.reset()
    ones = np.ones((2, 6), np.int64)
    positions = np.tile(np.arange(6), (2, 1))
    runner.feed_batch(ids[:, :5], attention_mask=ones[:, :5], position_ids=positions[:, :5])
    found = runner.feed_batch(
        ids[:, 5:], attention_mask=ones, position_ids=positions[:, 5:], beam_idx=[1, 1]
    )
    swapped = np.concatenate([ids[[1, 1], :5], ids[:, 5:]], axis=1)
    assert relative_error(found[:, 0], model.logits(swapped)[:, -1]) < TOLERANCE


def test_reset_forgets(case):
    model, runner = case
    ids = random_ids(1, 6, model.config.vocab)[0].tolist()
    runner.reset()
    first = runner.feed(ids)
    again = runner.feed(ids)
    assert not np.array_equal(first, again)
    runner.reset()
    assert np.array_equal(runner.feed(ids), first)


def test_a_graph_without_state_is_refused():
    with pytest.raises(UnsupportedError, match="stateful"):
        lower(small_model("llama").graph())


def test_foreign_inputs_are_refused():
    graph = small_model("llama").graph()
    graph.metadata_props["kv_cache.form"] = "stateful"
    with pytest.raises(UnsupportedError, match="inputs"):
        lower(graph)


def test_a_missing_output_is_named():
    from passes.kv_cache import StatefulCache

    graph = small_model("llama").graph()
    StatefulCache()(graph)
    next(value for value in graph.graph.outputs if value.name == "logits").name = "scores"
    with pytest.raises(UnsupportedError, match="logits"):
        lower(graph)


def test_initializers_of_any_rank_are_constants():
    graph = small_model("llama").graph()
    scalars = [
        value
        for value in graph.graph.initializers.values()
        if isinstance(value.const_value, ir.Tensor) and len(value.shape) == 0
    ]
    assert scalars, "the graph has scalar constants, which lowering must keep scalar"
