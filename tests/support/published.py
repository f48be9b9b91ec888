"""The configurations of models that are too large to be here, as they are published."""

from __future__ import annotations

from typing import Any


def _llama(
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    ffn: int,
    *,
    vocab: int = 32000,
    positions: int = 4096,
) -> dict[str, Any]:
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


def _bloom(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return {
        "architectures": ["BloomForCausalLM"],
        "model_type": "bloom",
        "n_layer": layers,
        "hidden_size": hidden,
        "n_head": heads,
        "vocab_size": 250880,
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
