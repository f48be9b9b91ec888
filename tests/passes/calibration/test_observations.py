"""Observations of a model, and their JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from convert.errors import BrokenInputError
from passes.calibration.observations import Observations, observe, tokens_digest
from passes.calibration.observers import LargestChannels
from tests.support.models import random_ids, small_model


@pytest.fixture(scope="module")
def model():
    return small_model("mistral", sliding_window=5)


@pytest.fixture(scope="module")
def texts(model):
    return [random_ids(1, n, model.config.vocab, seed=n)[0].tolist() for n in (9, 14)]


@pytest.fixture(scope="module")
def found(model, texts):
    return observe(model.graph(), texts)


def test_every_linear_layer_and_every_cache_is_covered(model, found):
    linear = {name for name, weight in model.weights.items() if len(weight.shape) == 2}
    assert found.inputs.keys() == found.weights.keys() == linear - {"model.embed_tokens.weight"}
    assert list(found.keys) == list(found.values) == list(found.queries) == [0, 1]
    assert found.tokens == 23
    for name, largest in found.weights.items():
        assert largest == np.abs(model.weights[name].array).max()


def test_the_inputs_are_bounded_by_their_largest(model, texts, found):
    channels = LargestChannels()
    observe(model.graph(), texts, observers=[channels])
    assert {name: float(each.max()) for name, each in channels.largest.items()} == found.inputs


def test_of_two_texts_the_larger_counts(model, texts, found):
    alone = [observe(model.graph(), [text]) for text in texts]
    for name, largest in found.inputs.items():
        assert largest == pytest.approx(max(each.inputs[name] for each in alone), rel=1e-5)


def test_a_second_run_finds_the_same(model, texts, found):
    assert observe(model.graph(), texts) == found


def test_json_comes_back_exactly(found):
    assert Observations.from_json(found.to_json()) == found


def test_progress_adds_up_to_the_bytes_of_the_linear_layers(model, texts):
    done: list[int] = []
    observe(model.graph(), texts, done.append)
    linear = [weight.nbytes for weight in model.weights.values() if len(weight.shape) == 2]
    assert sum(done) == sum(linear) - model.weights["model.embed_tokens.weight"].nbytes


def test_a_weight_that_is_nan_is_no_observation(found):
    with pytest.raises(BrokenInputError, match="no observations"):
        Observations.from_json(_changed(found, weights={"a": float("nan")}))


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"a": -1.0}},
        {"inputs": {"a": "large"}},
        {"keys": {"first": 1.0}},
        {"values": {"-1": 1.0}},
        {"text_sha256": "0"},
        {"tokens": 0},
        {"tokens": None},
        {"surplus": 1},
    ],
    ids=str,
)
def test_json_that_is_not_observations_is_refused(found, change):
    [place] = change
    with pytest.raises(BrokenInputError) as caught:
        Observations.from_json(_changed(found, **change))
    assert place in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}"])
def test_what_is_not_even_an_object_is_refused(text):
    with pytest.raises(BrokenInputError, match="no observations"):
        Observations.from_json(text)


def test_the_digest_tells_where_texts_end():
    assert tokens_digest([[1, 2], [3]]) != tokens_digest([[1], [2, 3]])
    assert tokens_digest([np.array([1, 2]), [3]]) == tokens_digest([(1, 2), np.array([3])])


def test_observations_of_another_text_have_another_digest(found):
    assert replace(found, text_sha256=tokens_digest([[1]])) != found


def _changed(found: Observations, **changes) -> str:
    return json.dumps({**json.loads(found.to_json()), **changes})
