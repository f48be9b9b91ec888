"""Qwen3's own settings."""

from __future__ import annotations

from convert.architectures.qwen3 import Qwen3
from tests.convert.architectures.configs import parse, raw_config


def test_queries_and_keys_are_normed_and_biases_are_optional():
    plain = parse("qwen3")
    assert plain.qk_norm
    assert not (plain.qkv_bias or plain.output_bias)
    biased = parse("qwen3", attention_bias=True)
    assert biased.qkv_bias
    assert biased.output_bias


def test_a_head_is_128_unless_stated():
    assert parse("qwen3", head_dim=...).head_dim == 128
    assert parse("qwen3", head_dim=12).head_dim == 12


def test_family_and_name():
    assert Qwen3().parse(raw_config("qwen3")).family == "qwen3"
