"""Qwen3-MoE's own settings."""

from __future__ import annotations

from tests.convert.architectures.configs import parse


def test_queries_and_keys_are_normed_and_biases_are_optional():
    plain = parse("qwen3_moe")
    assert plain.qk_norm
    assert not (plain.qkv_bias or plain.output_bias)
    biased = parse("qwen3_moe", attention_bias=True)
    assert biased.qkv_bias
    assert biased.output_bias


def test_a_head_is_its_share_of_the_hidden_size_unless_stated():
    assert parse("qwen3_moe", head_dim=...).head_dim == 8
    assert parse("qwen3_moe", head_dim=12).head_dim == 12


def test_a_window_is_every_layers_if_it_is_in_use():
    assert set(parse("qwen3_moe", sliding_window=7).windows) == {None}
    assert parse("qwen3_moe", sliding_window=7, use_sliding_window=True).windows == (7,) * 4
    assert parse("qwen3_moe", use_sliding_window=True, max_window_layers=3).windows == (4096,) * 4


def test_experts_are_those_of_the_config_or_transformers_defaults():
    experts = parse("qwen3_moe").experts
    assert (experts.count, experts.used, experts.ffn) == (128, 8, 768)
    assert not experts.normalized
    assert experts.shared_ffn is None
    experts = parse("qwen3_moe", num_experts=16, norm_topk_prob=True, moe_intermediate_size=9)
    experts = experts.experts
    assert (experts.count, experts.ffn, experts.normalized) == (16, 9, True)
    assert parse("qwen3_moe", num_local_experts=16).experts.count == 16
