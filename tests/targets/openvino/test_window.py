"""Windows are recognized in the masks that architectures build, and only there."""

from __future__ import annotations

import pytest

from convert.architectures.masks import conjuncts
from convert.graph import attention_nodes
from targets.openvino.window import _window
from tests.support.models import small_model


def mask_of(model_type, **sizes):
    return attention_nodes(small_model(model_type, **sizes).graph())[0].inputs[3]


@pytest.mark.parametrize("length", [1, 4, 100])
def test_the_length_of_a_window_is_read(length):
    windows = [_window(part) for part in conjuncts(mask_of("mistral", sliding_window=length))]
    found = [window for window in windows if window is not None]
    assert [window[2] for window in found] == [length]
    assert len(windows) == 3


def test_a_full_mask_has_none():
    assert [_window(part) for part in conjuncts(mask_of("llama"))] == [None, None]
