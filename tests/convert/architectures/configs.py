"""A complete small config.json for each family, for tests to bend."""

from __future__ import annotations

from typing import Any

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig

FAMILIES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "mixtral": "Mixtral",
    "qwen2": "Qwen2",
    "qwen2_moe": "Qwen2Moe",
    "qwen3": "Qwen3",
    "qwen3_moe": "Qwen3Moe",
    "yuan": "Yuan",
}


def raw_config(family: str = "llama", /, **changes: Any) -> dict[str, Any]:
    """A sound config; a change to `...` removes the key."""
    raw: dict[str, Any] = {
        "architectures": [f"{FAMILIES[family]}ForCausalLM"],
        "model_type": family,
        "hidden_size": 48,
        "intermediate_size": 72,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 6 if family == "yuan" else 2,
        "head_dim": 8,
        "vocab_size": 101,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        **changes,
    }
    return {key: value for key, value in raw.items() if value is not ...}


def parse(family: str = "llama", /, **changes: Any) -> DecoderConfig:
    """The sound config with ``changes``, parsed."""
    raw = raw_config(family, **changes)
    return architecture_of(raw).parse(raw)
