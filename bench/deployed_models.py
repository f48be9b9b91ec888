"""The configurations of the models of published deployments, which are too large to be here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = dict[str, Any]


def _llama(
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    ffn: int,
    *,
    vocab: int = 32000,
    positions: int = 4096,
) -> Config:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def _bloom(layers: int, hidden: int, heads: int) -> Config:
    return {
        "architectures": ["BloomForCausalLM"],
        "model_type": "bloom",
        "n_layer": layers,
        "hidden_size": hidden,
        "n_head": heads,
        "vocab_size": 250880,
        "torch_dtype": "bfloat16",
    }


def _yuan(layers: int, hidden: int, heads: int, ffn: int) -> Config:
    return {
        "architectures": ["YuanForCausalLM"],
        "model_type": "yuan",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "vocab_size": 135040,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


LLAMA_7B = _llama(32, 4096, 32, 32, 11008)
LLAMA_8B = _llama(32, 4096, 32, 8, 14336, vocab=128256, positions=131072)
LLAMA_13B = _llama(40, 5120, 40, 40, 13824)
LLAMA2_70B = _llama(80, 8192, 64, 8, 28672)
LLAMA_70B = _llama(80, 8192, 64, 8, 28672, vocab=128256, positions=131072)
LLAMA_405B = _llama(126, 16384, 128, 8, 53248, vocab=128256, positions=131072)
BLOOM_7B = _bloom(30, 4096, 32)
BLOOM_176B = _bloom(70, 14336, 112)
YUAN_2B = _yuan(24, 2048, 32, 8192)
YUAN_51B = _yuan(42, 8192, 64, 32768)
"""The width of the MLP is not published; that of 102B is taken, which gives 53 billion weights."""
YUAN_102B = _yuan(84, 8192, 64, 32768)

QWEN3_MOE_1T: Config = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 2048,
    "moe_intermediate_size": 2048,
    "num_experts": 384,
    "num_experts_per_tok": 8,
    "mlp_only_layers": [],
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
    "vocab_size": 163840,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
"""Nobody published it: the sizes of Kimi K2, whose own attention is another, in this architecture;
a little more than a trillion weights."""

CONFIGS: Mapping[str, Config] = {
    "Llama 2 7B": LLAMA_7B,
    "Llama 2 13B": LLAMA_13B,
    "BLOOMZ 7B1": BLOOM_7B,
    "BLOOMZ 176B": BLOOM_176B,
    "Yuan 2.0 2B": YUAN_2B,
    "Yuan 2.0 51B": YUAN_51B,
    "Yuan 2.0 102B": YUAN_102B,
    "Llama 3.3 70B": LLAMA_70B,
}
