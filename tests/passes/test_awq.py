"""AWQ divides inputs of layers that are stored in few bits, exactly in float, and no others."""

import dataclasses
import json

import numpy as np
import pytest

from convert.errors import PassRefusedError
from passes.awq import Awq, coarse_layers
from passes.encodings import ENCODINGS
from passes.quantize import Policy
from passes.smoothing.division import DIVIDED
from passes.smoothing.groups import groups
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph, relative_error

POLICY = Policy("int4_g24", "int8", "int8", (), ENCODINGS)


def some_divisors(model):
    rng = np.random.default_rng(0)
    return {
        group.name: np.exp2(rng.uniform(-3, 3, group.fold.divisors)).astype(np.float32)
        for group in groups(model)
        if group.fold is not None
    }


def logits(model):
    ids = random_ids(2, 9, 101)
    ones = np.ones_like(ids)
    fed = {"input_ids": ids, "attention_mask": ones, "position_ids": position_ids(ones)}
    return OrtGraph(model)(**fed)["logits"]


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=False)


def test_logits_stay_as_they_are(small):
    model = small.graph()
    assert Awq(some_divisors(model), POLICY)(model)
    assert relative_error(logits(model), logits(small.graph())) < 2e-4
    assert len(json.loads(model.metadata_props[DIVIDED])) == 14


def test_only_layers_of_few_bits_count(small):
    model = small.graph()
    name = "model.layers.0.mlp.down_proj.weight"
    policy = dataclasses.replace(POLICY, overrides=(("*down_proj.weight", "int8"),))
    assert name in coarse_layers(model, POLICY) and name not in coarse_layers(model, policy)
    assert "lm_head.weight" not in coarse_layers(model, POLICY)
    Awq(some_divisors(model), policy)(model)
    assert name not in json.loads(model.metadata_props[DIVIDED])


def test_a_layer_whose_neighbour_has_more_bits_is_left_and_a_note_says_so(small):
    model = small.graph()
    policy = dataclasses.replace(POLICY, overrides=(("*.q_proj.weight", "int8"),))
    Awq(some_divisors(model), policy)(model)
    assert "model.layers.0.self_attn.k_proj.weight" not in model.metadata_props[DIVIDED]
    assert "not balanced" in model.metadata_props["note.awq"]
    assert "other precision" in model.metadata_props["note.awq"]


def test_a_graph_that_is_divided_already_is_refused(small):
    model = small.graph()
    Awq(some_divisors(model), POLICY)(model)
    with pytest.raises(PassRefusedError, match="divided already"):
        Awq(some_divisors(model), POLICY)(model)
