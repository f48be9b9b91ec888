"""Qwen2's own settings."""

from __future__ import annotations

import pytest

from convert.architectures.qwen2 import Qwen2
from convert.errors import UnsupportedConfigError
from tests.convert.architectures.configs import parse, raw_config


@pytest.mark.parametrize("stated", [..., False, True])
def test_queries_keys_and_values_have_biases_whatever_the_config_says(stated):
    config = parse("qwen2", attention_bias=stated)
    assert (config.qkv_bias, config.output_bias, config.mlp_bias) == (True, False, False)


def test_missing_key_value_heads_are_thirty_two():
    changes = {"num_attention_heads": 64, "hidden_size": 512, "num_key_value_heads": ...}
    assert parse("qwen2", **changes).kv_heads == 32


def test_mlp_bias_is_refused():
    with pytest.raises(UnsupportedConfigError, match="mlp_bias"):
        parse("qwen2", mlp_bias=True)


def test_family_and_name():
    assert Qwen2().parse(raw_config("qwen2")).family == "qwen2"
