"""Localized filtering equals the original where a sequence begins."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures.filtering import filter_parameters
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph, relative_error


def test_the_second_convolution_has_half_the_channels_inside():
    assert filter_parameters("gate", 31) == {
        "gate.conv1.weight": (15, 31, 2, 1),
        "gate.conv1.bias": (15,),
        "gate.conv2.weight": (31, 15, 2, 1),
        "gate.conv2.bias": (31,),
        "gate.output_layernorm.weight": (31,),
    }


@pytest.mark.parametrize("tokens", [1, 2, 3, 9])
def test_the_first_positions_have_nothing_before_them(tokens):
    model = small_model("yuan")
    assert all(weight.array.all() for name, weight in model.weights.items() if "bias" in name)
    ids = random_ids(1, tokens, model.config.vocab)
    mask = np.ones_like(ids)
    run = OrtGraph(model.graph())
    found = run(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask))["logits"]
    assert relative_error(found, model.logits(ids)) < 1e-4
