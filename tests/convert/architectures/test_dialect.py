"""Values of the right kind are read; others, and keys nobody reads, are refused by name."""

from __future__ import annotations

import pytest

from convert.architectures.dialect import ConfigReader
from convert.architectures.harmless import HARMLESS_KEYS, NEUTRAL_VALUES
from convert.errors import BrokenInputError, UnsupportedConfigError


def test_values_are_read_and_null_is_absence():
    reader = ConfigReader({"a": 3, "b": None, "c": 2, "d": True, "e": "x", "f": {"g": 1}, "h": {}})
    assert reader.integer("a") == 3
    assert reader.integer("b", 7) == 7
    assert reader.integer("missing", 7) == 7
    assert reader.optional_integer("b") is None
    assert reader.optional_integer("a") == 3
    assert (reader.number("c"), type(reader.number("c"))) == (2.0, float)
    assert reader.flag("d") is True
    assert reader.flag("missing") is False
    assert reader.text("e", "y") == "x"
    assert reader.section("f").integer("g") == 1
    assert reader.section("h") is None
    assert reader.states("b")
    assert not reader.states("missing")


def test_an_integer_may_go_by_several_names_that_agree():
    reader = ConfigReader({"n_head": 3, "heads": None, "num_heads": 3, "other": 4})
    assert reader.integer_of("n_head", "heads", "num_heads") == 3
    assert reader.integer_of("heads", "other") == 4
    with pytest.raises(BrokenInputError, match="'other' is not usable") as caught:
        reader.integer_of("n_head", "other")
    assert "expected: 3, as n_head says" in str(caught.value)
    with pytest.raises(BrokenInputError, match="'missing' is not usable"):
        reader.integer_of("missing", "heads")


@pytest.mark.parametrize("value", ["4096", 4096.0, True, 0, -3, [4096], 10**30])
def test_an_integer_is_an_integer_in_range(value):
    with pytest.raises(BrokenInputError) as caught:
        ConfigReader({"hidden_size": value}).integer("hidden_size")
    message = str(caught.value)
    assert "'hidden_size'" in message
    assert "expected: an integer from 1 to" in message
    assert f"found: {value!r}" in message


@pytest.mark.parametrize(
    "value", ["1e-5", True, 0, -1.0, float("nan"), float("inf"), 1e-40, 10**400]
)
def test_a_number_is_finite_and_in_range(value):
    with pytest.raises(BrokenInputError, match="rms_norm_eps"):
        ConfigReader({"rms_norm_eps": value}).number("rms_norm_eps")


@pytest.mark.parametrize("value", [1, "true", []])
def test_a_flag_is_true_or_false(value):
    with pytest.raises(BrokenInputError, match="mlp_bias"):
        ConfigReader({"mlp_bias": value}).flag("mlp_bias")


def test_text_is_a_string_and_a_section_a_mapping():
    with pytest.raises(BrokenInputError, match="hidden_act"):
        ConfigReader({"hidden_act": 1}).text("hidden_act", "silu")
    with pytest.raises(BrokenInputError, match="rope_scaling"):
        ConfigReader({"rope_scaling": "linear"}).section("rope_scaling")


def test_a_missing_value_without_a_default_is_named():
    with pytest.raises(BrokenInputError, match="'vocab_size'") as caught:
        ConfigReader({}).integer("vocab_size")
    assert "no such key" in str(caught.value)


def test_a_section_says_where_it_is():
    section = ConfigReader({"rope_scaling": {"factor": "2"}}).section("rope_scaling")
    with pytest.raises(BrokenInputError, match=r"rope_scaling of config\.json: 'factor'"):
        section.number("factor")


UNKNOWN = {
    "attention_multiplier": 0.0078125,
    "attn_logit_softcapping": 50.0,
    "clip_qkv": 8.0,
    "embedding_multiplier": 12.0,
    "final_logit_softcapping": 30.0,
    "logit_scale": 0.0625,
    "logits_scaling": 8.0,
    "num_experts": 8,
    "num_local_experts": 8,
    "pruned_heads": {"0": [1]},
    "qk_layernorm": True,
    "quantization_config": {"quant_method": "gptq", "bits": 4, "sym": True, "desc_act": False},
    "residual_multiplier": 0.22,
    "rope_interleaved": True,
    "some_key_of_tomorrow": 0,
    "use_qk_norm": True,
}


@pytest.mark.parametrize("key", UNKNOWN)
def test_an_unread_key_that_says_something_is_refused_by_name(key):
    with pytest.raises(UnsupportedConfigError) as caught:
        ConfigReader({key: UNKNOWN[key]}).refuse_unread()
    assert f"'{key}'" in str(caught.value)
    assert repr(UNKNOWN[key])[:40] in str(caught.value)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_an_unread_key_that_says_nothing_passes(value):
    ConfigReader({"some_key_of_tomorrow": value}).refuse_unread()


def test_read_harmless_and_neutral_keys_pass():
    values = dict.fromkeys(HARMLESS_KEYS, 7) | NEUTRAL_VALUES | {"hidden_size": 4}
    reader = ConfigReader(values)
    reader.integer("hidden_size")
    reader.refuse_unread()


def test_a_quantized_checkpoint_is_sent_back_to_its_original():
    with pytest.raises(UnsupportedConfigError) as caught:
        ConfigReader({"quantization_config": {"bits": 4}}).refuse_unread()
    assert "before it was quantized" in str(caught.value)
