"""Which architecture a config asks for, and that every known config is read in full."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

from convert.architectures import ARCHITECTURES, architecture_of
from convert.architectures.base import Architecture
from convert.errors import BrokenInputError, UnsupportedArchitectureError

HUB = json.loads((Path(__file__).parent / "hub_configs.json").read_text())


def parse(raw):
    return architecture_of(raw).parse(raw)


@pytest.mark.parametrize("name", HUB)
def test_configs_from_the_hub_are_read_as_transformers_reads_them(name):
    from transformers import AutoConfig

    raw = HUB[name]
    ours = parse(raw)
    theirs = AutoConfig.for_model(**deepcopy(raw))
    assert (ours.layers, ours.hidden, ours.ffn, ours.vocab, ours.max_positions) == (
        theirs.num_hidden_layers,
        theirs.hidden_size,
        theirs.intermediate_size,
        theirs.vocab_size,
        theirs.max_position_embeddings,
    )
    assert (ours.heads, ours.kv_heads) == (theirs.num_attention_heads, theirs.num_key_value_heads)
    assert ours.head_dim == (getattr(theirs, "head_dim", None) or theirs.hidden_size // ours.heads)
    assert ours.norm_eps == theirs.rms_norm_eps
    assert ours.tied == theirs.tie_word_embeddings
    assert ours.rope.theta == theirs.rope_parameters["rope_theta"]
    assert ours.rope.kind == theirs.rope_parameters["rope_type"]
    window = getattr(theirs, "sliding_window", None)
    assert ours.windows == (window,) * ours.layers


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("llama", "Llama"),
        ("mistral", "Mistral"),
        ("mixtral", "Mixtral"),
        ("qwen2", "Qwen2"),
        ("qwen2_moe", "Qwen2Moe"),
        ("qwen3", "Qwen3"),
        ("qwen3_moe", "Qwen3Moe"),
    ],
)
def test_what_transformers_5_writes_is_read_in_full(model_type, name, tmp_path):
    from transformers import AutoConfig

    theirs = AutoConfig.for_model(model_type)
    theirs.architectures = [f"{name}ForCausalLM"]
    for complete in (False, True):
        theirs.to_json_file(tmp_path / "config.json", use_diff=not complete)
        raw = json.loads((tmp_path / "config.json").read_text())
        ours = parse(raw)
        assert ours.family == model_type
        assert ours.kv_heads == theirs.num_key_value_heads
        assert ours.rope.theta == theirs.rope_parameters["rope_theta"]


def test_every_architecture_has_names_of_its_own():
    names = [name for architecture in ARCHITECTURES for name in architecture.names]
    assert len(names) == len(set(names)) == len(ARCHITECTURES)
    assert all(isinstance(architecture, Architecture) for architecture in ARCHITECTURES)


def test_an_unknown_architecture_is_refused_naming_the_known_ones():
    with pytest.raises(UnsupportedArchitectureError) as caught:
        architecture_of({"architectures": ["FalconForCausalLM"]})
    assert "FalconForCausalLM" in str(caught.value)
    assert "LlamaForCausalLM, MistralForCausalLM" in str(caught.value)


@pytest.mark.parametrize("name", ["YuanForCausalLM", "LlamaForCausalLM"])
def test_code_from_a_checkpoint_is_never_executed(name):
    raw = {"architectures": [name], "auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    with pytest.raises(UnsupportedArchitectureError, match="auto_map") as caught:
        architecture_of(raw)
    assert "never executed" in str(caught.value)


@pytest.mark.parametrize(
    "stated", [None, [], "LlamaForCausalLM", ["LlamaForCausalLM", "LlamaModel"], [3]]
)
def test_a_config_must_name_one_architecture(stated):
    with pytest.raises(BrokenInputError, match="which architecture"):
        architecture_of({"architectures": stated})
