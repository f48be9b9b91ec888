"""The config.json that the metadata of a GGUF stands for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    BadHeaderError,
    UnsupportedArchitectureError,
    UnsupportedConfigError,
)
from convert.gguf_bloom_config import bloom_config
from convert.gguf_keys import ArchitectureKeys
from convert.sources.gguf_file import GgufFile

_CLASSES = {
    "bloom": "BloomForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
_UNDERSTOOD = frozenset(
    {
        "vocab_size",
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "attention.layer_norm_rms_epsilon",
        "rope.freq_base",
        "rope.dimension_count",
        "rope.scaling.type",
        "rope.scaling.factor",
        "rope.scaling.original_context_length",
        "rope.scaling.finetuned",
        "rope.scale_linear",
    }
)
_THETA = 10000.0
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LLAMA3_CONTEXT = 8192


def config_of(gguf: GgufFile) -> dict[str, Any]:
    """Rebuild ``config.json`` from metadata and the presence of tensors.

    Raises:
        UnsupportedArchitectureError: The architecture is not one of bloom, llama, qwen2, qwen3.
        UnsupportedConfigError: A metadata key changes the mathematics in an unknown way.
        BadHeaderError: A key is missing.
    """
    family = gguf.value("general.architecture", str)
    if family is None or family not in _CLASSES:
        raise UnsupportedArchitectureError(
            f"{gguf.path} holds a model of architecture {family!r}",
            expected=f"one of {', '.join(_CLASSES)}",
            remedy="convert from the original Hugging Face checkpoint",
        )
    read = bloom_config if family == "bloom" else _llama_config
    common = {
        "architectures": [_CLASSES[family]],
        "model_type": family,
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "vocab_size": _vocabulary_size(gguf),
    }
    return {**common, **read(gguf, family), **_special_ids(gguf)}


def _llama_config(gguf: GgufFile, family: str) -> dict[str, Any]:
    keys = ArchitectureKeys(gguf, family, _UNDERSTOOD)
    hidden, heads = keys.integer("embedding_length"), keys.integer("attention.head_count")
    head_dim = keys.integer("attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        keys.expect(key, head_dim, "the head dimension")
    return {
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": keys.integer("feed_forward_length"),
        "num_hidden_layers": keys.integer("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": keys.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": keys.integer("context_length"),
        "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": keys.number("rope.freq_base", _THETA),
        "rope_scaling": _rope_scaling(gguf, keys, head_dim),
        **_biases(gguf, family),
    }


def _rope_scaling(gguf: GgufFile, keys: ArchitectureKeys, head_dim: int) -> dict[str, Any] | None:
    kind = gguf.value(f"{keys.family}.rope.scaling.type", str, "none")
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0))
    factors = gguf.tensors.get("rope_freqs.weight")
    if factors is not None:
        if kind != "none":
            keys.refuse("rope.scaling.type", "none, beside the tensor rope_freqs", kind)
        values = gguf.read_rows(factors, 0, factors.shape[0]).reshape(-1)
        theta = keys.number("rope.freq_base", _THETA)
        return _llama3_scaling(gguf, values, theta, head_dim)
    if kind == "linear" or (kind == "none" and factor != 1.0):
        return {"rope_type": "linear", "type": "linear", "factor": factor}
    if kind == "yarn":
        context = keys.integer("rope.scaling.original_context_length")
        return {
            "rope_type": "yarn",
            "type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": context,
        }
    if kind != "none":
        keys.refuse("rope.scaling.type", "none, linear or yarn", kind)
    return None


def _llama3_scaling(
    gguf: GgufFile, factors: NDArray[np.float32], theta: float, head_dim: int
) -> dict[str, Any]:
    """Recognize the frequency divisors of llama 3.1: they follow from one factor alone.

    Only the published low and high frequency factors (1, 4) and context (8192) are tried.
    """
    if factors.size != head_dim // 2:
        raise _unknown_factors(gguf, factors)
    factor = round(float(factors.max()), 4)
    wavelengths = 2 * math.pi * theta ** (np.arange(0, head_dim, 2) / head_dim)
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    with np.errstate(all="ignore"):  # of factors that are no numbers, which are refused
        smooth = np.clip((_LLAMA3_CONTEXT / wavelengths - low) / (high - low), 0, 1)
        expected = 1 / ((1 - smooth) / np.float64(factor) + smooth)
    if not (factor > 0 and np.allclose(factors, expected, rtol=1e-4, atol=0)):
        raise _unknown_factors(gguf, factors)
    return {
        "rope_type": "llama3",
        "factor": factor,
        **_LLAMA3,
        "original_max_position_embeddings": _LLAMA3_CONTEXT,
    }


def _unknown_factors(gguf: GgufFile, factors: NDArray[np.float32]) -> UnsupportedConfigError:
    return UnsupportedConfigError(
        f"{gguf.path}: the tensor rope_freqs.weight holds unknown frequency factors",
        expected="those of llama 3.1 scaling with an original context of 8192",
        found=f"{factors.size} factors between {factors.min():.4g} and {factors.max():.4g}",
        remedy="convert from the original Hugging Face checkpoint",
    )


def _biases(gguf: GgufFile, family: str) -> dict[str, bool]:
    present = {
        part: f"blk.0.{part}.bias" in gguf.tensors
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    }
    attention = [present[f"attn_{part}"] for part in ("q", "k", "v", "output")]
    mlp = [present[f"ffn_{part}"] for part in ("gate", "up", "down")]
    right = {
        "llama": attention in ([False] * 4, [True] * 4) and mlp in ([False] * 3, [True] * 3),
        "qwen2": attention == [True, True, True, False] and not any(mlp),
        "qwen3": attention in ([False] * 4, [True] * 4) and not any(mlp),
    }
    if not right[family]:
        raise UnsupportedConfigError(
            f"{gguf.path}: no {family} model of transformers has biases on just these layers",
            found=", ".join(part for part, there in present.items() if there) or "no biases",
            remedy="convert from the original Hugging Face checkpoint",
        )
    if family == "qwen2":
        return {}
    config = {"attention_bias": all(attention)}
    return config | {"mlp_bias": all(mlp)} if family == "llama" else config


def _special_ids(gguf: GgufFile) -> dict[str, int | None]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {
        f"{name}_token_id": gguf.value(f"tokenizer.ggml.{key}_token_id", int)
        for name, key in names.items()
    }


def _vocabulary_size(gguf: GgufFile) -> int:
    embedding = gguf.tensors.get("token_embd.weight")
    if embedding is None:
        raise BadHeaderError(
            f"{gguf.path}: tensor 'token_embd.weight' is missing",
            remedy="download or write the file again",
        )
    return embedding.shape[0]
