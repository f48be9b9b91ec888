"""A profile has a source for every figure, and refuses what it does not know."""

from __future__ import annotations

import copy

import pytest
from pydantic import ValidationError

from convert.hardware.profile import Hardware
from tests.support.machines import MACHINE


def changed(**changes):
    return Hardware.model_validate({**copy.deepcopy(MACHINE), **changes})


def test_a_profile_is_what_it_says():
    machine = changed()
    assert machine.capacity == 10_000_000_000
    assert machine.arithmetic("bf16")[1].value == 1e14
    assert {"memory", "bandwidth", "bf16 arithmetic", "share of links"} <= set(machine.figures())


@pytest.mark.parametrize(("wanted", "found"), [("fp8", "bf16"), ("int8", "bf16"), ("f32", "bf16")])
def test_what_it_cannot_multiply_in_is_multiplied_in_bf16(wanted, found):
    assert changed().arithmetic(wanted)[0] == found


@pytest.mark.parametrize(
    "fault",
    [
        {"colour": "red"},
        {"memory": {"value": 1e9}},
        {"memory": {"value": -1, "source": "assumed: none"}},
        {"memory": {"value": float("nan"), "source": "assumed: none"}},
        {"memory": {"value": 1e9, "source": "?"}},
        {"compute": {}},
        {"compute": {"int8": {"value": 1e12, "source": "assumed: no floats"}}},
        {"compute": {"int3": {"value": 1e12, "source": "assumed: no such"}}},
        {"links": None},
        {"devices": 0},
    ],
)
def test_what_is_no_profile_is_refused(fault):
    with pytest.raises(ValidationError):
        changed(**fault)


def test_a_share_is_at_most_1():
    document = copy.deepcopy(MACHINE)
    document["efficiency"]["bandwidth"]["value"] = 1.1
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Hardware.model_validate(document)


def test_what_is_assumed_is_known_as_such():
    figures = changed().figures()
    assert figures["share of bandwidth"].is_assumed
    assert not figures["memory"].is_assumed
