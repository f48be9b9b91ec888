"""Every parameter of a mixture of experts is found by the names that the hub gives its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convert.errors import TensorMismatchError
from convert.weights import ArrayWeight, read_float32
from golden.places import Places, joined, names_of, stored_names
from golden.reference import Reference
from tests.support.models import random_ids, small_model


@pytest.mark.parametrize("model_type", ["mixtral", "qwen2_moe", "qwen3_moe", "llama"])
def test_every_weight_has_its_place(model_type):
    model = small_model(model_type, num_hidden_layers=1)
    own = dict(model.torch_model.named_parameters())
    places = Places(own, model.raw_config["architectures"])
    assert places.names(own) == set(model.weights)
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(places.of(name).detach().numpy(), read_float32(weight))


def test_what_is_put_in_a_place_is_what_the_model_computes_with():
    model, other = small_model("mixtral"), small_model("mixtral", seed=1)
    reference = Reference(model.torch_model)
    reference.replace_weights((name, read_float32(each)) for name, each in other.weights.items())
    ids = random_ids(1, 9, model.config.vocab)
    np.testing.assert_array_equal(reference.logits(ids[0].tolist()), other.logits(ids)[0])


def test_an_expert_that_is_left_out_or_too_many_is_named():
    model = small_model("mixtral", num_hidden_layers=1)
    reference = Reference(model.torch_model)
    stored = {name: read_float32(each) for name, each in model.weights.items()}
    scope = "model.layers.0.block_sparse_moe.experts"
    left = {name: each for name, each in stored.items() if name != f"{scope}.3.w2.weight"}
    with pytest.raises(TensorMismatchError) as caught:
        reference.replace_weights(left.items())
    assert f"{scope}.3.w2.weight" in str(caught.value)
    with pytest.raises(TensorMismatchError, match=r"experts\.5\.w2"):
        reference.replace_weights([(f"{scope}.5.w2.weight", stored[f"{scope}.3.w2.weight"])])
    with pytest.raises(TensorMismatchError, match=r"experts\.0\.w9"):
        reference.replace_weights([(f"{scope}.0.w9.weight", stored[f"{scope}.3.w2.weight"])])


def test_experts_are_joined_in_the_order_of_transformers():
    experts = names_of(["MixtralForCausalLM"])
    names = stored_names("model.layers.0.mlp.experts.gate_up_proj", 2, experts)
    scope = "model.layers.0.block_sparse_moe.experts"
    assert names == [
        f"{scope}.{number}.{part}.weight" for number in (0, 1) for part in ("w1", "w3")
    ]
    weights = [ArrayWeight(name, np.full((3, 2), i, np.float32)) for i, name in enumerate(names)]
    whole = read_float32(joined(weights, "whole", (2, 6, 2))).reshape(2, 6, 2)
    expected = torch.arange(4).repeat_interleave(6).reshape(2, 6, 2).numpy()
    np.testing.assert_array_equal(whole, expected)
    assert stored_names("model.norm.weight", 7, experts) == ["model.norm.weight"]
    assert stored_names("model.norm.weight", 7, names_of(["Unknown"])) == ["model.norm.weight"]


def test_parts_of_imported_experts_are_places_in_the_whole():
    whole = torch.zeros(3, 4, 5)
    places = Places({"m.experts.up_proj": whole, "m.sinks": torch.zeros(2)}, ["NobodyForCausalLM"])
    assert places.names(["m.experts.up_proj", "m.sinks"]) == {"m.experts.up_proj", "m.sinks"}
    for number in range(3):
        name = f"m.experts.{number}.up_proj.weight"
        places.of(name).copy_(torch.full((4, 5), float(number)))
        # The tensor is replaced when its last part is.
        assert places.covered(name) == ({"m.experts.up_proj"} if number == 2 else set())
    assert whole[:, 0, 0].tolist() == [0, 1, 2]
    assert places.covered("m.sinks") == {"m.sinks"}
    assert places.of("m.experts.3.up_proj.weight") is None
    assert places.of("m.others.0.up_proj.weight") is None


def test_buffers_that_a_checkpoint_has_are_replaced():
    model = small_model("llama", num_hidden_layers=1)
    reference = Reference(model.torch_model)
    reference.model.register_buffer("offset", torch.zeros(2))
    stored = {name: read_float32(each) for name, each in model.weights.items()}
    with pytest.raises(TensorMismatchError, match="lacks 1 parameters"):
        reference.replace_weights(stored.items())
    reference.replace_weights([*stored.items(), ("offset", np.ones(2, np.float32))])
    assert reference.model.get_buffer("offset").tolist() == [1, 1]
