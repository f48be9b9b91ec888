"""Qwen2-MoE's own settings."""

from __future__ import annotations

import pytest

from convert.errors import BrokenInputError
from tests.convert.architectures.configs import parse


def test_one_expert_is_everybodys():
    assert parse("qwen2_moe").experts.shared_ffn == 5632
    assert parse("qwen2_moe", shared_expert_intermediate_size=20).experts.shared_ffn == 20


def test_queries_keys_and_values_have_biases_unless_stated():
    assert parse("qwen2_moe").qkv_bias
    assert not parse("qwen2_moe", qkv_bias=False).qkv_bias


def test_every_second_layer_has_a_window_if_one_is_in_use():
    window = {"sliding_window": 7, "use_sliding_window": True}
    assert parse("qwen2_moe", sliding_window=7).windows == (None,) * 4
    assert parse("qwen2_moe", **window).windows == (7, None, 7, None)
    assert parse("qwen2_moe", max_window_layers=2, **window).windows == (7, None, None, None)
    kinds = ["full_attention", "sliding_attention"] * 2
    assert parse("qwen2_moe", layer_types=kinds, **window).windows == (None, 7, None, 7)


def test_transformers_writes_a_window_of_nothing_where_none_is_in_use():
    assert parse("qwen2_moe", sliding_window=0) == parse("qwen2_moe")


def test_a_kind_of_layer_must_agree_with_the_window():
    kinds = ["full_attention", "sliding_attention"] * 2
    with pytest.raises(BrokenInputError, match="layer_types"):
        parse("qwen2_moe", layer_types=kinds)
