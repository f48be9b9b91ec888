"""config.json of small models, for what needs no weights: nothing is imported to make them."""

from __future__ import annotations

from typing import Any

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from tests.support.models import FEW_EXPERTS, SMALL

_CLASSES = {
    "llama": "LlamaForCausalLM",
    "bloom": "BloomForCausalLM",
    "yuan": "YuanForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
}


def small_raw_config(family: str, **changes: Any) -> dict[str, Any]:
    """The config of a small model of a family."""
    sizes = {**SMALL, **FEW_EXPERTS.get(family, {})}
    if family == "bloom":
        sizes = {"vocab_size": 101, "hidden_size": 48, "n_layer": 2, "n_head": 6}
    if family == "yuan":
        del sizes["num_key_value_heads"]
        sizes |= {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}
    named = {"model_type": family, "architectures": [_CLASSES[family]]}
    return {**named, **sizes, **changes}


def small_config(family: str, **changes: Any) -> DecoderConfig:
    """The same, normalized."""
    raw = small_raw_config(family, **changes)
    return architecture_of(raw).parse(raw)
