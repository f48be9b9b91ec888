"""A setting that a target does not know is named."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from targets.option_names import refuse_unknown


def test_known_settings_pass():
    refuse_unknown("gguf", {"a": 1}, ("a", "b"))
    refuse_unknown("gguf", {}, ())


def test_the_first_unknown_setting_is_named():
    with pytest.raises(UsageError, match="the gguf target has no option 'c'") as caught:
        refuse_unknown("gguf", {"d": 1, "c": 2, "a": 3}, ("a", "b"))
    assert caught.value.expected == "one of a, b"
