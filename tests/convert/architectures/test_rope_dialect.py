"""Both dialects of RoPE settings are read; what is not implemented is refused by name."""

from __future__ import annotations

import pytest

from convert.architectures.base import Rope
from convert.architectures.rope_dialect import DEFAULT_THETA
from convert.errors import BrokenInputError, UnsupportedConfigError
from tests.convert.architectures.configs import parse

LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def test_the_base_is_where_the_dialect_puts_it():
    assert parse(rope_theta=5e5).rope == Rope(5e5)
    new = {"rope_type": "default", "rope_theta": 5e5}
    assert parse(rope_theta=..., rope_parameters=new).rope == Rope(5e5)
    assert parse(rope_theta=...).rope == Rope(DEFAULT_THETA)


def test_old_and_new_dialect_say_the_same():
    new = parse(
        rope_theta=..., rope_parameters={"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3}
    )
    old = parse(rope_theta=5e5, rope_scaling={"type": "llama3", **LLAMA3})
    assert old.rope == new.rope
    assert new.rope == Rope(5e5, "llama3", 8.0, 1.0, 4.0, 64)


def test_the_original_length_is_the_outer_one_then_the_inner_one_then_the_models():
    scaling = {"rope_type": "yarn", "factor": 2.0}
    key = "original_max_position_embeddings"
    assert parse(rope_scaling=scaling).rope.original_max_positions == 256
    inner = {**scaling, key: 128}
    assert parse(rope_scaling=inner).rope.original_max_positions == 128
    outer = parse(rope_scaling=inner, original_max_position_embeddings=64)
    assert outer.rope.original_max_positions == 64


@pytest.mark.parametrize("kind", ["dynamic", "longrope", "su", "mrope", "proportional", "tomorrow"])
@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_other_scalings_are_refused_by_name(kind, key):
    with pytest.raises(UnsupportedConfigError, match="rope_scaling") as caught:
        parse(rope_scaling={key: kind, "factor": 2.0})
    assert repr(kind) in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"partial_rotary_factor": 0.5},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "mscale": 0.7}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": False}},
        {"rope_theta": ..., "rope_parameters": {"full_attention": {"rope_theta": 1e4}}},
        {"original_max_position_embeddings": 128},
    ],
)
def test_settings_that_change_the_angles_are_not_ignored(changes):
    with pytest.raises(UnsupportedConfigError):
        parse(**changes)


def test_a_whole_rotation_is_no_partial_one():
    assert parse(partial_rotary_factor=1.0).rope == parse().rope


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_theta": "10000"},
        {"rope_theta": 0},
        {"rope_theta": 1.0},
        {"rope_scaling": "linear"},
        {"rope_scaling": {"rope_type": 4}},
        {"rope_scaling": {"rope_type": "linear"}},
        {"rope_scaling": {"rope_type": "linear", "factor": -1}},
        {"rope_scaling": {"rope_type": "llama3", **LLAMA3, "high_freq_factor": 1.0}},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": "32"}},
        {"rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "linear", "factor": 4.0},
        },
    ],
)
def test_malformed_and_contradictory_settings_are_broken_input(changes):
    with pytest.raises(BrokenInputError):
        parse(**changes)
