"""The original with an adapter in it, whole or layer by layer, and an artifact made of the two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convert.errors import TensorMismatchError
from golden.adapters import merge_adapters
from golden.format import read
from golden.record import record
from golden.reference import load
from tests.support.adapters import factors, save_adapter

QUERY = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def adapter(checkpoint, tmp_path):
    own = dict(load(checkpoint, 1).model.named_parameters())
    tensors = factors({QUERY: tuple(own[f"{QUERY}.weight"].shape)})
    return tensors, save_adapter(tmp_path / "style", tensors)


def test_the_update_is_in_the_parameters(checkpoint, adapter):
    tensors, folder = adapter
    model = load(checkpoint, 1).model
    before = model.get_parameter(f"{QUERY}.weight").detach().clone()
    merge_adapters(model, checkpoint, [folder])
    up, down = (torch.from_numpy(tensors[f"{QUERY}.lora_{side}.weight"]) for side in "BA")
    torch.testing.assert_close(model.get_parameter(f"{QUERY}.weight"), before + 2 * (up @ down))


def test_both_ways_of_recording_have_it(checkpoint, adapter, tmp_path):
    _, folder = adapter
    found = {}
    for name, options in {
        "plain": {},
        "whole": {"adapters": [folder]},
        "layered": {"adapters": [folder], "layered": True},
    }.items():
        record(checkpoint, tmp_path / name, prompts=["he said the sheep"], **options)
        found[name] = read(tmp_path / name).logits(0)
    assert np.abs(found["whole"] - found["plain"]).max() > 0.01
    np.testing.assert_allclose(found["layered"], found["whole"], atol=1e-4)


def test_parameters_that_transformers_has_not_are_refused(checkpoint, tmp_path):
    folder = save_adapter(tmp_path / "other", factors({"model.layers.77.mlp.up_proj": (4, 4)}))
    with pytest.raises(TensorMismatchError, match="another model"):
        merge_adapters(load(checkpoint, 1).model, checkpoint, [folder])
