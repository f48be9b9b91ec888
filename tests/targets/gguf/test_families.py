"""What llama.cpp's architectures express, and the row order of rotated pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UnsupportedArchitectureError, UnsupportedConfigError
from targets.gguf.families import family_of, interleaved_rows
from tests.support.models import small_model

LLAMA = small_model("llama").config
QWEN2 = small_model("qwen2").config
QWEN3 = small_model("qwen3", head_dim=16).config


@given(heads=st.integers(1, 9), half=st.integers(1, 40))
def test_rows_of_a_pair_become_neighbours(heads: int, half: int) -> None:
    order = interleaved_rows(heads, 2 * half)
    assert sorted(order) == list(range(heads * 2 * half))
    pairs = order.reshape(heads, half, 2)
    np.testing.assert_array_equal(pairs[..., 1] - pairs[..., 0], half)
    np.testing.assert_array_equal(pairs[:, :, 0] % (2 * half), np.tile(np.arange(half), (heads, 1)))


def test_mistral_runs_as_llama() -> None:
    assert family_of(replace(LLAMA, family="mistral")).architecture == "llama"


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnsupportedArchitectureError, match="'bloom'"):
        family_of(replace(LLAMA, family="bloom"))


@pytest.mark.parametrize(
    ("config", "feature"),
    [
        (replace(LLAMA, activation="gelu"), "activation"),
        (replace(LLAMA, qk_norm=True), "normalization of each head"),
        (replace(QWEN2, mlp_bias=True), "bias of the output"),
        (replace(QWEN2, head_dim=20), "heads x head_dim"),
        (replace(QWEN3, qkv_bias=True), "bias of the query"),
        (replace(QWEN3, qk_norm=False), "absence"),
    ],
)
def test_what_an_architecture_leaves_out_is_refused(config, feature: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        family_of(config)
