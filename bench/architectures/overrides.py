"""What a small config of a model type needs beyond what follows from the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_QWEN4 = {
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
    "indexer_budget": 4,
    "indexer_compress_ratio": 2,
}

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "doge": {"keep_window_size": 256},
    "mamba2": {"num_heads": 8},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "hunyuan_v1_moe": {"num_experts": 8, "moe_topk": 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "xmod": {"default_language": "en_XX"},
    "musicgen": {"decoder": {"num_codebooks": 1}},
    "musicgen_melody": {"decoder": {"num_codebooks": 1}},
    "reformer": {"axial_pos_embds_dim": [16, 48], "axial_pos_shape": [16, 16]},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    },
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}},
    "qwen4_exp_text": _QWEN4,
    "qwen4_exp": {"text_config": _QWEN4},
    "zamba": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
    },
    "lfm2_moe": {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]},
    "bamba": {"attn_layer_indices": [1]},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0],
        "intermediate_size": [96] * 4,
    },
}
"""By model type, fields of the config; a field that is `...` is left out."""

_DRAFTER = "it drafts tokens for another model, whose hidden states it reads"

NOT_ALONE: Mapping[str, str] = {
    "gemma4_assistant": _DRAFTER,
    "gemma4_unified_assistant": _DRAFTER,
}
"""Types whose models are no language models by themselves, and why."""

_CODEBOOKS = "tried with one codebook; with the four of released models it is refused"

UNLIKE_RELEASED: Mapping[str, str] = {
    "lfm2": "tried with layers of attention alone; released models have convolutions between them"
    " and are refused",
    "musicgen": _CODEBOOKS,
    "musicgen_melody": _CODEBOOKS,
}
"""Types whose small config differs from released models in more than sizes."""
