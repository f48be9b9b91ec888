"""Default thresholds and their overrides."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from convert.errors import RecipeError
from golden.thresholds import Thresholds, thresholds_for

FULL = {"mean_kld": 0.1, "decoded_kld": 0.2, "top1": 0.9, "perplexity_ratio": 1.1}


@pytest.mark.parametrize(
    ("kin", "others"),
    [
        ("f32", ["f16", "bf16"]),
        ("int8", ["q8_0", "int8_asym"]),
        ("fp8", ["fp8_240", "fp8_tensor", "fp8_tensor_240"]),
        ("int4", ["q4_0", "q4_1", "q4_k", "int4_g64", "int4_g32", "int4_sym", "nf4"]),
        ("q4_0", ["q4_k_m", "q4_k_s", "iq4_nl", "iq4_xs", "mxfp4", "mxfp4_moe"]),
        ("q5_k", ["q5_0", "q5_1", "q5_k_s", "q5_k_m"]),
        ("q3_k", ["q3_k_s", "q3_k_m", "q3_k_l"]),
        ("q2_k", ["q2_k_s"]),
    ],
)
def test_encodings_of_equal_width_share_their_thresholds(kin, others):
    assert {thresholds_for(name) for name in others} == {thresholds_for(kin)}


def test_fewer_bits_are_allowed_more():
    falling = [
        thresholds_for(name) for name in ("bf16", "int8", "q6_k", "q5_k", "int4", "q3_k", "q2_k")
    ]
    for more, fewer in pairwise(falling):
        assert more.mean_kld < fewer.mean_kld
        assert more.decoded_kld < fewer.decoded_kld
        assert more.top1 > fewer.top1
        assert more.perplexity_ratio < fewer.perplexity_ratio
        assert more.weight_error <= fewer.weight_error


def test_inputs_of_eight_bits_are_allowed_a_little_more():
    w8a8, eight, four = map(thresholds_for, ("w8a8", "int8", "int4"))
    assert eight.mean_kld < w8a8.mean_kld == 0.03 < four.mean_kld
    assert w8a8.weight_error <= eight.weight_error
    assert w8a8.top1 >= eight.top1
    assert w8a8.perplexity_ratio <= eight.perplexity_ratio


def test_fp8_is_allowed_no_more_than_other_encodings_of_8_bits():
    fp8, eight = thresholds_for("fp8"), thresholds_for("int8")
    assert fp8.top1 >= eight.top1
    assert fp8.mean_kld <= eight.mean_kld
    assert fp8.perplexity_ratio <= eight.perplexity_ratio
    assert fp8.weight_error <= eight.weight_error


@pytest.mark.parametrize("name", ["int3", "f32x", "int80", ""])
def test_only_known_encodings_have_defaults(name):
    with pytest.raises(RecipeError, match="no default thresholds"):
        thresholds_for(name)


def test_overrides_replace_and_round_trip():
    changed = thresholds_for("int8").with_overrides({"mean_kld": 0.5, "differing_texts": 2})
    assert (changed.mean_kld, changed.differing_texts) == (0.5, 2)
    assert changed.top1 == thresholds_for("int8").top1
    assert Thresholds.from_mapping(changed.to_mapping()) == changed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean_kl", 0.1),
        ("mean_kld", "0.1"),
        ("mean_kld", -1),
        ("mean_kld", math.nan),
        ("top1", 1.5),
        ("top1", True),
        ("differing_texts", 0.5),
    ],
)
def test_bad_overrides_are_refused_by_name(key, value):
    with pytest.raises(RecipeError, match=key):
        thresholds_for("int8").with_overrides({key: value})


def test_a_full_mapping_must_be_full():
    assert Thresholds.from_mapping(FULL).differing_chats == 0
    with pytest.raises(RecipeError, match="lack top1"):
        Thresholds.from_mapping({k: v for k, v in FULL.items() if k != "top1"})
