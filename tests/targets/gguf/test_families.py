"""What llama.cpp's architectures express."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import UnsupportedArchitectureError, UnsupportedConfigError
from targets.gguf.families import family_of
from tests.support.models import small_model

LLAMA = small_model("llama").config
QWEN2 = small_model("qwen2").config
BLOOM = small_model("bloom").config
QWEN3 = small_model("qwen3", head_dim=16).config
MIXTRAL = small_model("mixtral").config
QWEN2_MOE = small_model("qwen2_moe").config
QWEN3_MOE = small_model("qwen3_moe").config


def with_experts(config, **changes):
    return replace(config, experts=replace(config.experts, **changes))


def test_mistral_runs_as_llama() -> None:
    assert family_of(replace(LLAMA, family="mistral")).architecture == "llama"


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnsupportedArchitectureError, match="'falcon'"):
        family_of(replace(LLAMA, family="falcon"))


@pytest.mark.parametrize(
    ("config", "feature"),
    [
        (replace(LLAMA, activation="gelu"), "activation"),
        (replace(LLAMA, qk_norm=True), "normalization of each head"),
        (replace(QWEN2, mlp_bias=True), "bias of the output"),
        (replace(QWEN2, head_dim=20), "heads x head_dim"),
        (replace(QWEN3, qkv_bias=True), "bias of the query"),
        (replace(QWEN3, qk_norm=False), "absence"),
        (replace(LLAMA, rope=None), "not rotated"),
        (replace(BLOOM, rope=LLAMA.rope), "rotated positions"),
        (replace(BLOOM, activation="silu"), "other than gelu_tanh"),
        (replace(BLOOM, residual_of_norm=True), "behind the norm"),
        (replace(LLAMA, experts=MIXTRAL.experts), "express experts"),
        (replace(QWEN3_MOE, experts=None), "the absence of experts"),
        (replace(QWEN2_MOE, tied=True), "a head that is the embedding"),
        (with_experts(QWEN3_MOE, layers=(False, True)), "layers without experts"),
        (with_experts(QWEN3_MOE, normalized=False), "do not sum to 1"),
        (with_experts(QWEN2_MOE, normalized=True), "made to sum to 1"),
        (with_experts(MIXTRAL, shared_ffn=8), "express an expert that all"),
        (with_experts(QWEN2_MOE, shared_ffn=None), "absence of an expert that all"),
    ],
)
def test_what_an_architecture_leaves_out_is_refused(config, feature: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        family_of(config)
