"""Llama's own settings."""

from __future__ import annotations

import pytest

from convert.architectures.llama import Llama
from convert.errors import UnsupportedConfigError
from tests.convert.architectures.configs import parse, raw_config


def test_biases_are_optional_and_apart():
    plain = parse()
    assert not (plain.qkv_bias or plain.output_bias or plain.mlp_bias or plain.qk_norm)
    attention = parse(attention_bias=True)
    assert (attention.qkv_bias, attention.output_bias, attention.mlp_bias) == (True, True, False)
    mlp = parse(mlp_bias=True)
    assert (mlp.qkv_bias, mlp.output_bias, mlp.mlp_bias) == (False, False, True)


def test_old_configs_leave_out_heads_and_their_size():
    config = parse(num_key_value_heads=..., head_dim=...)
    assert (config.kv_heads, config.head_dim) == (6, 8)
    assert parse(num_key_value_heads=None, head_dim=None) == config


def test_splitting_a_product_for_tensor_parallel_training_changes_nothing():
    assert parse(pretraining_tp=4) == parse()


@pytest.mark.parametrize(
    "changes", [{"sliding_window": 4}, {"layer_types": ["sliding_attention"] * 4}]
)
def test_llama_has_no_sliding_window(changes):
    with pytest.raises(UnsupportedConfigError, match=next(iter(changes))):
        parse(**changes)


def test_layer_types_that_say_full_attention_pass():
    assert parse(layer_types=["full_attention"] * 4) == parse()


def test_family_and_name():
    assert Llama().parse(raw_config()).family == "llama"
