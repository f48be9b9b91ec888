"""Mistral's own settings."""

from __future__ import annotations

import pytest

from convert.architectures.mistral import Mistral
from convert.errors import UnsupportedConfigError
from tests.convert.architectures.configs import parse, raw_config


def test_a_window_of_null_is_none_and_a_missing_one_is_the_default():
    assert parse("mistral", sliding_window=None).windows == (None,) * 4
    assert parse("mistral", sliding_window=5).windows == (5,) * 4
    assert parse("mistral").windows == (4096,) * 4


def test_missing_key_value_heads_are_eight_and_null_is_one_for_each_head():
    changes = {"num_attention_heads": 16, "hidden_size": 128}
    assert parse("mistral", **changes, num_key_value_heads=...).kv_heads == 8
    assert parse("mistral", **changes, num_key_value_heads=None).kv_heads == 16


def test_layer_types_must_agree_with_the_window():
    sliding = ["sliding_attention"] * 4
    assert parse("mistral", sliding_window=5, layer_types=sliding).windows == (5,) * 4
    with pytest.raises(UnsupportedConfigError, match="layer_types"):
        parse("mistral", sliding_window=None, layer_types=sliding)


@pytest.mark.parametrize("key", ["attention_bias", "mlp_bias"])
def test_mistral_has_no_biases(key):
    with pytest.raises(UnsupportedConfigError, match=key):
        parse("mistral", **{key: True})
    assert parse("mistral", **{key: False}) == parse("mistral")


def test_family_and_name():
    assert Mistral().parse(raw_config("mistral")).family == "mistral"
