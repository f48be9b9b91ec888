from __future__ import annotations

import math

import numpy as np
import pytest

from convert.errors import (
    BadHeaderError,
    UnsupportedArchitectureError,
    UnsupportedConfigError,
)
from convert.gguf_config import config_of
from convert.sources.gguf_file import read_gguf
from tests.support.gguf_files import TinyGguf


def config(tmp_path, tiny):
    return config_of(read_gguf(tiny.write(tmp_path / "tiny.gguf")))


def llama3_factors(head_dim, factor, theta=50000.0, context=8192, low=1.0, high=4.0):
    """Divisors of the frequencies, one by one, as the llama 3.1 paper's code decides them."""
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        if wavelength < context / high:
            factors.append(1.0)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, "f4")


def test_a_llama(tmp_path):
    tiny = TinyGguf()
    assert config(tmp_path, tiny) == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6,
        "rope_theta": 50000.0,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "vocab_size": len(tiny.tokens),
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
    }


@pytest.mark.parametrize(
    ("tiny", "found"),
    [
        (TinyGguf(tied=False), {"tie_word_embeddings": False}),
        (TinyGguf(family="qwen2", qkv_bias=True), {"architectures": ["Qwen2ForCausalLM"]}),
        (TinyGguf(family="qwen3", qk_norm=True), {"model_type": "qwen3", "attention_bias": False}),
        (TinyGguf(head_dim=24, heads=4), {"head_dim": 24}),
        (
            TinyGguf(
                metadata={"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
            ),
            {"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 4.0}},
        ),
        (
            TinyGguf(metadata={"llama.rope.scale_linear": 2.0}),
            {"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 2.0}},
        ),
        (
            TinyGguf(
                metadata={
                    "llama.rope.scaling.type": "yarn",
                    "llama.rope.scaling.factor": 4.0,
                    "llama.rope.scaling.original_context_length": 64,
                }
            ),
            {
                "rope_scaling": {
                    "rope_type": "yarn",
                    "type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 64,
                }
            },
        ),
        (TinyGguf(metadata={"tokenizer.ggml.padding_token_id": 0}), {"pad_token_id": 0}),
    ],
)  # fmt: skip
def test_what_metadata_and_tensors_say(tmp_path, tiny, found):
    assert found.items() <= config(tmp_path, tiny).items()


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama3_scaling_is_recognized_by_its_factors(tmp_path, factor):
    extra = {"rope_freqs.weight": llama3_factors(64, factor)}
    tiny = TinyGguf(heads=1, kv_heads=1, head_dim=64, layers=1, extra=extra)
    assert config(tmp_path, tiny)["rope_scaling"] == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


@pytest.mark.parametrize(
    "factors",
    [
        llama3_factors(16, 8.0, high=2.0, context=4096),
        np.linspace(1, 4, 8, dtype="f4"),
        np.ones(7, "f4"),
    ],
)
def test_other_frequency_factors_are_refused(tmp_path, factors):
    with pytest.raises(UnsupportedConfigError, match="rope_freqs"):
        config(tmp_path, TinyGguf(extra={"rope_freqs.weight": factors}))


def test_an_unknown_architecture_is_refused(tmp_path):
    with pytest.raises(UnsupportedArchitectureError, match="'falcon'"):
        config(tmp_path, TinyGguf(family="falcon"))


@pytest.mark.parametrize(
    "metadata",
    [
        {"llama.expert_count": 8},
        {"llama.attention.sliding_window": 4096},
        {"llama.logit_scale": 0.5},
        {"llama.rope.scaling.attn_factor": 1.2},
        {"llama.rope.scaling.type": "longrope"},
        {"llama.rope.dimension_count": 8},
    ],
)
def test_metadata_that_changes_the_mathematics_is_refused_by_name(tmp_path, metadata):
    with pytest.raises(UnsupportedConfigError) as caught:
        config(tmp_path, TinyGguf(metadata=metadata))
    assert next(iter(metadata)) in str(caught.value)


def test_layers_of_different_sizes_are_refused(tmp_path):
    tiny = TinyGguf()
    path = tiny.write(tmp_path / "tiny.gguf")
    gguf = read_gguf(path)
    metadata = {**gguf.metadata, "llama.attention.head_count_kv": np.array([2, 1])}
    changed = type(gguf)(path, gguf.version, metadata, gguf.tensors)
    with pytest.raises(UnsupportedConfigError, match="head_count_kv"):
        config_of(changed)
    metadata["llama.attention.head_count_kv"] = np.array([2, 2])
    assert config_of(changed)["num_key_value_heads"] == 2


@pytest.mark.parametrize(
    ("tensors", "family"),
    [(["attn_q"], "llama"), (["attn_q", "attn_k", "attn_v"], "llama"), ([], "qwen2")],
)
def test_biases_that_no_transformers_model_has(tmp_path, tensors, family):
    extra = {f"blk.0.{name}.bias": np.zeros(64, "f4") for name in tensors}
    with pytest.raises(UnsupportedConfigError, match="biases"):
        config(tmp_path, TinyGguf(family=family, kv_heads=4, extra=extra))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.embedding_length", None),
        ("llama.attention.layer_norm_rms_epsilon", None),
        ("llama.block_count", 0),
        ("llama.block_count", "two"),
        ("llama.block_count", True),
        ("llama.attention.layer_norm_rms_epsilon", "x"),
        ("llama.rope.freq_base", -1.0),
        ("llama.rope.freq_base", math.inf),
        ("llama.rope.scaling.type", np.array([1, 2])),
        ("tokenizer.ggml.bos_token_id", "x"),
    ],
)
def test_a_missing_or_mistyped_key_is_named(tmp_path, key, value):
    path = TinyGguf().write(tmp_path / "tiny.gguf")
    gguf = read_gguf(path)
    metadata = {**gguf.metadata, key: value}
    if value is None:
        del metadata[key]
    with pytest.raises(BadHeaderError, match=key):
        config_of(type(gguf)(path, gguf.version, metadata, gguf.tensors))


def test_a_file_without_an_embedding(tmp_path):
    path = TinyGguf().write(tmp_path / "tiny.gguf")
    gguf = read_gguf(path)
    with pytest.raises(BadHeaderError, match="token_embd"):
        config_of(type(gguf)(path, gguf.version, gguf.metadata, {}))
