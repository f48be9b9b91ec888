"""Imported graphs give the logits of transformers, and those of the hand-written families."""

import numpy as np
import pytest

from convert.architectures import architecture_of
from convert.architectures.llama import Llama
from convert.errors import UnsupportedArchitectureError
from convert.graph import Role, parameters, roles
from convert.importing import graph_cache
from convert.importing.architecture import Imported, imported
from convert.importing.skeleton import class_names
from tests.support.imported import (
    imported_graph_of,
    largest_differences,
    original,
    plain_feed,
    raw_config,
    weights_of,
)
from tests.support.ort import OrtGraph, relative_error

HAND_WRITTEN = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"tie_word_embeddings": True},
}

OTHERS = {
    "gemma2": {"sliding_window": 4},
    "gemma": {},
    "gemma3_text": {"sliding_window": 4},
    "phi": {},
    "phi3": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": {"sliding_window": 4},
    "stablelm": {},
    "starcoder2": {},
    "gpt_neox": {},
    "cohere": {},
    "cohere2": {"sliding_window": 4},
    "granite": {},
    "glm": {},
    "glm4": {},
    "smollm3": {},
    "exaone4": {"sliding_window": 4},
    "nemotron": {},
    "helium": {},
    "ernie4_5": {},
    "hunyuan_v1_dense": {},
    "seed_oss": {},
    "gpt2": {"n_embd": 48, "n_head": 6, "n_layer": 2, "n_positions": 64, "n_inner": 72},
    "opt": {"ffn_dim": 72, "word_embed_proj_dim": 48},
}


def judged_by_hand(family, changes):
    """Both graphs of a hand-written family say the same."""
    raw = raw_config(family, **changes)
    model = original(raw)
    weights = weights_of(model)
    by_hand = architecture_of(raw)
    config = by_hand.parse(raw)
    own = Imported(raw, raw["architectures"][0])
    assert own.parameters(own.parse(raw)) == {
        name: tuple(shape) for name, shape in by_hand.parameters(config).items()
    }
    graph = imported_graph_of(raw, model)
    ids = np.random.default_rng(0).integers(3, 101, (2, 9))
    expected = OrtGraph(by_hand.build(config, weights))(**plain_feed(ids))["logits"]
    assert relative_error(OrtGraph(graph)(**plain_feed(ids))["logits"], expected) < 1e-5
    assert roles(graph) == roles(by_hand.build(config, weights))


def test_llama_by_both_ways():
    judged_by_hand("llama", HAND_WRITTEN["llama"])


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(HAND_WRITTEN.keys() - {"llama"}))
def test_hand_written_families_by_both_ways(family):
    judged_by_hand(family, HAND_WRITTEN[family])


def test_gemma2_whole_cached_and_padded():
    found = largest_differences(raw_config("gemma2", **OTHERS["gemma2"]))
    assert max(found.values()) < 1e-5, found


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(OTHERS.keys() - {"gemma2"}))
def test_families_that_nobody_wrote(family):
    found = largest_differences(raw_config(family, **OTHERS[family]))
    assert max(found.values()) < 1e-5, found


def test_linear_layers_have_their_roles_however_they_are_stored():
    """GPT-2 stores its matrices turned."""
    raw = raw_config("gpt2", **OTHERS["gpt2"])
    graph = imported_graph_of(raw, original(raw))
    found = roles(graph)
    assert found["transformer.h.0.attn.c_attn.weight"] is Role.LINEAR
    assert found["transformer.wte.weight"] is Role.EMBEDDING
    assert parameters(graph)["transformer.h.0.attn.c_attn.weight"].weight.shape == (144, 48)


def test_hand_written_families_come_first():
    assert isinstance(architecture_of(raw_config("llama")), Llama)
    assert isinstance(architecture_of(raw_config("gemma2")), Imported)


def test_a_config_says_what_the_graph_is():
    raw = raw_config("gemma2", sliding_window=7)
    config = Imported(raw, raw["architectures"][0]).parse(raw)
    assert (config.family, config.layers, config.hidden, config.vocab) == ("gemma2", 2, 48, 101)
    assert (config.heads, config.kv_heads, config.head_dim, config.ffn) == (6, 2, 8, 72)
    assert (config.windows, config.tied, config.imported) == ((7, None), True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "gemma"},
        {"model_type": ...},
        {"model_type": 3},
        {"architectures": ["Gemma2Model"]},
        {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
    ],
)
def test_what_transformers_does_not_know_by_this_name_is_refused(changes):
    raw = {**raw_config("gemma2"), **changes}
    raw = {key: value for key, value in raw.items() if value is not ...}
    with pytest.raises(UnsupportedArchitectureError, match="is not known"):
        architecture_of(raw)


def test_code_of_a_checkpoint_is_refused_unless_it_is_the_packages_own():
    own = {"auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}}
    assert isinstance(architecture_of({**raw_config("phi3"), **own}), Imported)
    other = {"auto_map": {"AutoConfig": "configuration_phi3.OtherConfig"}}
    with pytest.raises(UnsupportedArchitectureError, match="code of its own"):
        architecture_of({**raw_config("phi3"), **other})


def test_only_classes_that_logits_come_from_have_to_be_the_packages_own():
    others = {
        "AutoConfig": "configuration_phi3.Phi3Config",
        "AutoTokenizer": "Somebody/tokenizer",
        "AutoModelForSequenceClassification": "modeling_phi3.Other",
    }
    assert isinstance(architecture_of({**raw_config("phi3"), "auto_map": others}), Imported)


@pytest.mark.parametrize(
    ("kind", "name"), [("mpt", "MPTForCausalLM"), ("ernie4_5", "Ernie4_5_ForCausalLM")]
)
def test_a_release_may_spell_the_name_of_its_class_otherwise(kind, name):
    own = {"AutoModelForCausalLM": f"modeling.{name}"}
    raw = {"model_type": kind, "architectures": [name], "auto_map": own}
    assert isinstance(architecture_of(raw), Imported)


def test_a_kept_graph_needs_no_transformers(monkeypatch):
    raw = raw_config("gemma2", sliding_window=4)
    expected = Imported(raw, raw["architectures"][0]).parse(raw)
    graph_cache._graph.cache_clear()
    monkeypatch.setattr("convert.importing.skeleton.class_name", lambda _: pytest.fail("asked"))
    monkeypatch.setattr("convert.importing.skeleton.skeleton", lambda _: pytest.fail("made"))
    found = imported(raw, raw["architectures"][0])
    assert found is not None and found.parse(raw) == expected


def test_every_type_has_one_class():
    assert class_names()["gemma2"] == "Gemma2ForCausalLM"
