"""Targets are found by name, and each declares what the rest of the line relies on."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from passes.encodings import encoding
from targets import TARGETS, target


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_declares_encodings_that_exist_and_fit_every_row(name):
    one = target(name)
    assert one.name == name
    assert one.summary
    assert one.default_encoding in one.encodings
    assert one.vector_encoding in one.encodings
    assert one.eight_bit is None or one.eight_bit in one.encodings
    assert set(one.fallbacks) <= set(one.encodings)
    assert encoding(one.fallbacks[-1]).fit(7) is not None
    assert all(encoding(stored).name == stored for stored in one.encodings)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_refuses_every_option_that_it_does_not_declare(name):
    one = target(name)
    with pytest.raises(UsageError, match="option"):
        one.passes({"colour": "red"})
    for option in one.option_names:
        with pytest.raises(UsageError, match=f"^{option} is not"):
            one.passes({option: "red"})


def test_an_unknown_target_is_named():
    with pytest.raises(UsageError, match="no target 'abacus'"):
        target("abacus")
