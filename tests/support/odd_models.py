"""Odd but legal configurations of every architecture: what parity is tested with."""

from __future__ import annotations

from typing import Any

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
BOTH_KINDS = {
    "use_sliding_window": True,
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention"],
}

ODD_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom, 4 heads": ("bloom", {"num_attention_heads": 4}),
    "bloom, 6 heads, residuals of the norms": (
        "bloom",
        {"num_hidden_layers": 3, "apply_residual_connection_post_layernorm": True},
    ),
    "bloom, 7 odd heads, untied": (
        "bloom",
        {
            "num_attention_heads": 7,
            "hidden_size": 35,
            "vocab_size": 33,
            "tie_word_embeddings": False,
        },
    ),
    "bloom, 12 heads": ("bloom", {"num_attention_heads": 12, "layer_norm_epsilon": 1e-3}),
    "llama": ("llama", {}),
    "llama, a head for each query": ("llama", {"num_key_value_heads": 6}),
    "llama, 8 queries a head, tied": (
        "llama",
        {
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 20,
            "tie_word_embeddings": True,
        },
    ),
    "llama, all biases, llama3": (
        "llama",
        {"attention_bias": True, "mlp_bias": True, "head_dim": 36, "rope_parameters": LLAMA3},
    ),
    "llama, odd sizes": (
        "llama",
        {
            "hidden_size": 45,
            "intermediate_size": 67,
            "num_attention_heads": 5,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "vocab_size": 33,
        },
    ),
    "llama, linear": ("llama", {"rope_parameters": LINEAR, "rms_norm_eps": 1e-5}),
    "llama, yarn": ("llama", {"rope_parameters": YARN, "head_dim": 80}),
    "mistral": ("mistral", {"sliding_window": None, "vocab_size": 97}),
    "mistral, window of 4": ("mistral", {"sliding_window": 4, "head_dim": 20}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2, both kinds of layers, yarn": ("qwen2", {**BOTH_KINDS, "rope_parameters": YARN}),
    "qwen3": ("qwen3", {"head_dim": 20, "num_key_value_heads": 3}),
    "qwen3, biases, both kinds of layers": (
        "qwen3",
        {**BOTH_KINDS, "head_dim": 12, "attention_bias": True, "tie_word_embeddings": True},
    ),
    "yuan": ("yuan", {}),
    "yuan, 2 heads, 1 layer, tied": (
        "yuan",
        {
            "hidden_size": 36,
            "intermediate_size": 50,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "tie_word_embeddings": True,
        },
    ),
    "yuan, 3 heads, odd half": (
        "yuan",
        {"hidden_size": 30, "num_attention_heads": 3, "vocab_size": 33, "rms_norm_eps": 1e-5},
    ),
}

EXPERT_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("mixtral", {"head_dim": 12}),
    "mixtral, every expert, a window": (
        "mixtral",
        {"num_local_experts": 3, "num_experts_per_tok": 3, "sliding_window": 4},
    ),
    "mixtral, one of many": (
        "mixtral",
        {"num_local_experts": 19, "num_experts_per_tok": 1, "tie_word_embeddings": True},
    ),
    "qwen2_moe": ("qwen2_moe", {}),
    "qwen2_moe, both kinds of layers and of MLPs, normalized": (
        "qwen2_moe",
        {
            "moe_intermediate_size": 33,
            "shared_expert_intermediate_size": 15,
            "norm_topk_prob": True,
            "mlp_only_layers": [0],
            "use_sliding_window": True,
            "sliding_window": 5,
        },
    ),
    "qwen3_moe": ("qwen3_moe", {"head_dim": 20}),
    "qwen3_moe, every second layer, a window": (
        "qwen3_moe",
        {
            "moe_intermediate_size": 17,
            "norm_topk_prob": False,
            "decoder_sparse_step": 2,
            "use_sliding_window": True,
            "sliding_window": 5,
            "attention_bias": True,
        },
    ),
}
"""Mixtures of experts, which not everything can rewrite."""
