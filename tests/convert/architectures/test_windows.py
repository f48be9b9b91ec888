"""Which layers have a sliding window, as each family says it."""

from __future__ import annotations

import pytest

from convert.architectures.windows import FULL, SLIDING
from convert.errors import BrokenInputError, UnsupportedConfigError
from tests.convert.architectures.configs import parse

QWEN = ["qwen2", "qwen3"]


@pytest.mark.parametrize("family", QWEN)
def test_without_use_sliding_window_no_layer_has_one(family):
    assert parse(family, sliding_window=4).windows == (None,) * 4
    assert parse(family, sliding_window=4, use_sliding_window=False).windows == (None,) * 4


@pytest.mark.parametrize("family", QWEN)
def test_layers_from_max_window_layers_on_have_a_window(family):
    on = {"use_sliding_window": True, "sliding_window": 4}
    assert parse(family, **on, max_window_layers=1).windows == (None, 4, 4, 4)
    assert parse(family, **on, max_window_layers=0).windows == (4,) * 4
    assert parse(family, **on).windows == (None,) * 4
    assert parse(family, use_sliding_window=True, max_window_layers=3).windows[3] == 4096
    off = parse(family, use_sliding_window=True, sliding_window=None, max_window_layers=0)
    assert off.windows == (None,) * 4


@pytest.mark.parametrize("family", QWEN)
def test_layer_types_overrule_max_window_layers(family):
    kinds = [SLIDING, FULL, SLIDING, FULL]
    on = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
    assert parse(family, **on, layer_types=kinds).windows == (4, None, 4, None)
    with pytest.raises(BrokenInputError, match="layer_types"):
        parse(family, sliding_window=4, layer_types=kinds)


@pytest.mark.parametrize("family", ["mistral", *QWEN])
def test_other_kinds_of_attention_are_refused(family):
    with pytest.raises(UnsupportedConfigError, match="layer_types") as caught:
        parse(family, layer_types=[FULL, FULL, FULL, "chunked_attention"])
    assert "chunked_attention" in str(caught.value)


@pytest.mark.parametrize("kinds", [[FULL] * 3, FULL, [FULL, FULL, FULL, None], {"0": FULL}])
def test_layer_types_is_one_string_a_layer(kinds):
    with pytest.raises(BrokenInputError, match="layer_types"):
        parse("qwen2", layer_types=kinds)


def test_a_window_is_a_positive_integer():
    for size in (0, -1, "4096", True):
        with pytest.raises(BrokenInputError, match="sliding_window"):
            parse("mistral", sliding_window=size)
