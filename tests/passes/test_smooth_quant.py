"""SmoothQuant is exact in float, leaves what it must, and says what it left."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import PassRefusedError
from convert.graph import notes, parameters
from convert.scaled_weights import ScaledWeight
from convert.weights import read_float32
from passes.encodings import ENCODINGS
from passes.kv_cache import StatefulCache
from passes.lfa_fusion import LfaFusion
from passes.quantize import Policy, Quantize
from passes.smooth_quant import SmoothQuant
from passes.smoothing.division import DIGEST, DIVIDED
from passes.smoothing.groups import groups
from passes.tensor_parallel import TensorParallel
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph, relative_error

POLICY = Policy("w8a8", "int8", "int8", (), ENCODINGS)
DOWN_PROJ = "model.layers.0.mlp.down_proj.weight"


def some_divisors(model, seed=0):
    rng = np.random.default_rng(seed)
    return {
        group.name: np.exp2(rng.uniform(-6, 6, group.fold.divisors)).astype(np.float32)
        for group in groups(model)
        if group.fold is not None
    }


def logits(model, vocab=101):
    ids = random_ids(2, 9, vocab)
    ones = np.ones_like(ids)
    return OrtGraph(model)(input_ids=ids, attention_mask=ones, position_ids=position_ids(ones))[
        "logits"
    ]


def assert_exact(small, policy=POLICY):
    model, before = small.graph(), logits(small.graph())
    assert SmoothQuant(some_divisors(model), policy)(model)
    scaled = [each for each in parameters(model).values() if isinstance(each.weight, ScaledWeight)]
    assert len(scaled) > 4
    assert relative_error(logits(model), before) < 2e-4
    return model


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "bloom", "yuan"])
def test_logits_stay_as_they_are(family):
    assert_exact(small_model(family, tie_word_embeddings=False))


def test_so_do_they_where_the_head_has_inputs_of_eight_bits():
    policy = dataclasses.replace(POLICY, head="w8a8")
    model = assert_exact(small_model("llama", tie_word_embeddings=False), policy)
    assert "lm_head.weight" in json.loads(model.metadata_props[DIVIDED])


@settings(max_examples=8, deadline=None)
@given(
    kv_heads=st.integers(1, 3),
    shared=st.integers(1, 3),
    half=st.integers(1, 5),
    ffn=st.integers(1, 40),
)
def test_heads_may_share_value_heads_of_any_number_and_size(kv_heads, shared, half, ffn):
    sizes = {"hidden_size": 36, "num_hidden_layers": 1, "intermediate_size": ffn}
    heads = {"num_attention_heads": kv_heads * shared, "num_key_value_heads": kv_heads}
    assert_exact(small_model("llama", **sizes, **heads, head_dim=2 * half))


def test_what_the_columns_are_multiplied_with_the_inputs_are_divided_by():
    model = small_model("llama").graph()
    original = {name: read_float32(each.weight) for name, each in parameters(model).items()}
    divisors = some_divisors(model)
    SmoothQuant(divisors, POLICY)(model)
    found = {name: read_float32(each.weight) for name, each in parameters(model).items()}
    s, up = divisors[DOWN_PROJ], "model.layers.0.mlp.up_proj.weight"
    gate = divisors["model.layers.0.mlp.gate_proj.weight"]
    np.testing.assert_array_equal(found[DOWN_PROJ], original[DOWN_PROJ] * s)
    np.testing.assert_array_equal(found[up], original[up] * gate / s[:, None])
    norm = "model.layers.0.post_attention_layernorm.weight"
    np.testing.assert_array_equal(found[norm], original[norm] / gate)
    untouched = {"model.embed_tokens.weight", "model.norm.weight"}
    assert all(np.array_equal(found[name], original[name]) for name in untouched)


def test_a_layer_of_other_precision_keeps_the_input_that_it_shares():
    q_proj = "model.layers.0.self_attn.q_proj.weight"
    policy = dataclasses.replace(POLICY, overrides=((q_proj, "bf16"),))
    model = assert_exact(small_model("qwen2"), policy)
    smoothed = json.loads(model.metadata_props[DIVIDED])
    assert not {q_proj, q_proj.replace("q_proj", "v_proj")} & smoothed.keys()
    assert q_proj.replace("layers.0", "layers.1") in smoothed
    assert any("2 layers" in note and "other precision" in note for note in notes(model))


def test_what_cannot_be_folded_is_noted():
    model = assert_exact(small_model("bloom"))
    assert any("2 layers" in note and "Gelu" in note for note in notes(model))
    model = assert_exact(small_model("yuan"))
    assert any("v_proj" in note and "reads the same input" in note for note in notes(model))


def test_it_goes_with_fusion_ranks_a_cache_and_quantization():
    model = small_model("yuan").graph()
    divisors = some_divisors(model)
    LfaFusion()(model)
    SmoothQuant(divisors, POLICY)(model)
    TensorParallel(2, 1)(model)
    StatefulCache()(model)
    Quantize(POLICY)(model)
    encoded = {name: each.encoding.name for name, each in parameters(model).items()}
    assert encoded[DOWN_PROJ] == "w8a8"


def test_the_digest_follows_the_divisors():
    digests = set()
    for seed in (0, 0, 1):
        model = small_model("llama").graph()
        SmoothQuant(some_divisors(model, seed), POLICY)(model)
        digests.add(model.metadata_props[DIGEST])
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.pop(DOWN_PROJ), "no divisors"),
        (lambda given: given.update({DOWN_PROJ: np.ones(5, np.float32)}), "72 finite numbers"),
        (lambda given: given[DOWN_PROJ].__setitem__(3, 0), "above 0"),
        (lambda given: given[DOWN_PROJ].__setitem__(3, np.inf), "finite"),
    ],
)
def test_divisors_that_are_none_are_refused(change, message):
    model = small_model("llama").graph()
    given = some_divisors(model)
    change(given)
    with pytest.raises(PassRefusedError, match=message):
        SmoothQuant(given, POLICY)(model)
    assert DIGEST not in model.metadata_props


def test_a_graph_that_is_smoothed_or_quantized_already_is_refused():
    model = small_model("llama").graph()
    rewrite = SmoothQuant(some_divisors(model), POLICY)
    rewrite(model)
    with pytest.raises(PassRefusedError, match="divided already"):
        rewrite(model)
    model = small_model("llama").graph()
    Quantize(POLICY)(model)
    with pytest.raises(PassRefusedError, match="before weights are quantized"):
        rewrite(model)
