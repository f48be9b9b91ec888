"""BLOOM's config in all its dialects, its graph, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.architectures import architecture_of
from convert.errors import BrokenInputError, TricastError, UnsupportedConfigError
from tests.support.models import random_ids, small_model
from tests.support.ort import OrtGraph, relative_error

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""

BLOOM_560M = {
    "apply_residual_connection_post_layernorm": False,
    "attention_dropout": 0.0,
    "attention_softmax_in_fp32": True,
    "architectures": ["BloomForCausalLM"],
    "bias_dropout_fusion": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
    "unk_token_id": 0,
    "hidden_dropout": 0.0,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "masked_softmax_fusion": True,
    "model_type": "bloom",
    "n_embed": 1024,
    "n_inner": None,
    "n_layer": 24,
    "num_attention_heads": 16,
    "offset_alibi": 100,
    "pretraining_tp": 1,
    "seq_length": 2048,
    "skip_bias_add": True,
    "skip_bias_add_qkv": False,
    "transformers_version": "4.20.0",
    "use_cache": True,
    "vocab_size": 250880,
}
BLOOMZ = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "hidden_size": 14336,
    "n_head": 112,
    "n_layer": 70,
    "pretraining_tp": 4,
    "slow_but_exact": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 250880,
}


def parse(changes=None, base=BLOOM_560M):
    raw = {key: value for key, value in {**base, **(changes or {})}.items() if value is not ...}
    return architecture_of(raw).parse(raw)


def test_the_config_of_the_smallest():
    config = parse()
    assert (config.layers, config.hidden, config.heads, config.kv_heads) == (24, 1024, 16, 16)
    assert (config.head_dim, config.ffn, config.vocab, config.max_positions) == (
        64,
        4096,
        250880,
        2048,
    )
    assert (config.tied, config.rope, config.norm_eps) == (True, None, 1e-5)


def test_the_config_of_the_largest():
    config = parse(base=BLOOMZ)
    assert (config.layers, config.heads, config.head_dim, config.ffn) == (70, 112, 128, 57344)
    assert config.max_positions == 2048
    shapes = architecture_of(BLOOMZ).parameters(config)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 176_247_271_424


@pytest.mark.parametrize("raw", [BLOOM_560M, BLOOMZ])
def test_transformers_reads_the_same(raw):
    from transformers import AutoConfig

    ours, theirs = parse(base=raw), AutoConfig.for_model(**raw)
    assert (ours.layers, ours.hidden, ours.heads, ours.vocab) == (
        theirs.num_hidden_layers,
        theirs.hidden_size,
        theirs.num_attention_heads,
        theirs.vocab_size,
    )
    assert (ours.norm_eps, ours.tied) == (theirs.layer_norm_epsilon, theirs.tie_word_embeddings)


@pytest.mark.parametrize("complete", [False, True])
def test_what_transformers_5_writes_is_read_in_full(complete, tmp_path):
    from transformers import AutoConfig

    theirs = AutoConfig.for_model("bloom", num_attention_heads=4)
    theirs.architectures = ["BloomForCausalLM"]
    theirs.to_json_file(tmp_path / "config.json", use_diff=not complete)
    ours = parse(base=json.loads((tmp_path / "config.json").read_text()))
    assert (ours.layers, ours.hidden, ours.heads) == (2, 64, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_attention_heads": ..., "n_head": 16},
        {"n_head": 16},
        {"n_embed": ..., "hidden_size": 1024},
        {"n_layer": ..., "num_hidden_layers": 24},
        {"n_inner": 4096},
        {"pretraining_tp": 4},
        {"slow_but_exact": True},
        {"seq_length": ..., "max_position_embeddings": 2048},
    ],
)
def test_dialects_that_mean_the_same(changes):
    assert parse(changes) == parse()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"n_layer": ...}, "n_layer"),
        ({"n_head": 8}, "num_attention_heads"),
        ({"num_hidden_layers": 23}, "num_hidden_layers"),
        ({"hidden_size": 2048}, "n_embed"),
        ({"num_attention_heads": 15}, "hidden_size"),
        ({"vocab_size": ...}, "vocab_size"),
        ({"n_layer": 10**6}, "n_layer"),
        ({"model_type": "llama"}, "model_type"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon"),
    ],
)
def test_contradictions_and_gaps_are_named(changes, key):
    with pytest.raises(BrokenInputError, match=f"{key!r} is not usable"):
        parse(changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"slow_but_exact": True, "pretraining_tp": 2}, "slow_but_exact"),
        ({"n_inner": 2048}, "n_inner"),
        ({"multi_query": True}, "multi_query"),
        ({"rope_theta": 1e4}, "rope_theta"),
    ],
)
def test_other_mathematics_are_refused(changes, key):
    with pytest.raises(UnsupportedConfigError, match=repr(key)):
        parse(changes)


KEYS = sorted({*BLOOM_560M, *BLOOMZ, "num_hidden_layers", "tie_word_embeddings", "key_of_tomorrow"})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([16, 24, 1024, "x", [], {}])
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_whatever_a_config_says_it_is_read_or_refused(changes):
    try:
        config = parse(changes)
    except TricastError as refusal:
        assert refusal.exit_code in (4, 6)
        return
    assert config.heads * config.head_dim == config.hidden
    assert len(config.windows) == config.layers


def test_what_is_refused_for_slicing_does_compute_something_else():
    """transformers leaves out the biases of the layers that it sums slice by slice."""
    plain = small_model("bloom", num_attention_heads=4)
    sliced = small_model("bloom", num_attention_heads=4, slow_but_exact=True, pretraining_tp=2)
    ids = random_ids(1, 5, 101)
    assert relative_error(sliced.logits(ids), plain.logits(ids)) > 0.01


@pytest.mark.parametrize(("heads", "head_dim"), [(112, 2), (1, 5), (3, 7)])
def test_head_counts_at_the_ends(heads, head_dim):
    sizes = {"hidden_size": heads * head_dim, "num_attention_heads": heads, "num_hidden_layers": 1}
    model = small_model("bloom", **sizes)
    ids = random_ids(1, 30, model.config.vocab)
    ones = np.ones_like(ids)
    found = OrtGraph(model.graph())(input_ids=ids, attention_mask=ones, position_ids=ones)
    assert relative_error(found["logits"], model.logits(ids)) < TOLERANCE
