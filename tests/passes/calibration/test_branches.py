"""A branch ends where a run of the model with those weights stored otherwise ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convert.errors import UnsupportedError
from convert.graph import LOGITS, Role, roles
from convert.weights import ArrayWeight, read_float32
from passes.calibration import reading
from passes.calibration.branches import Variation, decoded, run_branched, weighted
from passes.calibration.execution import logits, run
from passes.calibration.observers import Observer, SecondMoments
from passes.encodings import encoding
from tests.support.models import random_ids, small_model

DOWN, HEAD = "model.layers.0.mlp.down_proj.weight", "lm_head.weight"
QUERY, TABLE = "model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight"
INT8, INT4 = encoding("int8"), encoding("int4_g24")


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", attention_bias=True)


@pytest.fixture(scope="module")
def tied():
    return small_model("llama", tie_word_embeddings=True)


def texts(model):
    """One for weighting, and two to read of which one is as long as that."""
    return [random_ids(1, n, model.config.vocab, seed=n + i)[0] for i, n in enumerate((9, 9, 13))]


def expected(model, encodings, chosen, read, weighting=0):
    """By a model that has the decoded weights, run apart; in float64."""
    moments = SecondMoments()
    run(model.graph(), [chosen[weighting]], [moments])
    role_of, weights = roles(model.graph()), dict(model.weights)
    for name, asked in encodings.items():
        stored = weighted(asked, role_of[name], moments.sums.get(name, np.empty(0)))
        values = decoded(stored, read_float32(weights[name]))
        weights[name] = ArrayWeight(name, values)
    other = logits(replace(model, weights=weights).graph(), chosen)
    plain = logits(model.graph(), chosen)
    return np.concatenate([divergence(plain[text], other[text]) for text in read])


def divergence(logits, others):
    doubles = (each.astype(np.float64) for each in (logits, others))
    p, q = (each - np.log(np.exp(each).sum(axis=1, keepdims=True)) for each in doubles)
    return (np.exp(p) * (p - q)).sum(axis=1)


@pytest.mark.parametrize(
    "encodings",
    [
        {DOWN: INT4},
        {QUERY: INT8},
        {HEAD: INT4},
        {TABLE: INT4},
        {DOWN: INT4, QUERY: INT8, HEAD: INT8, TABLE: INT8},
    ],
)
def test_a_variation_costs_what_a_model_with_those_weights_does(llama, encodings):
    chosen = texts(llama)
    variations = [Variation({DOWN: INT8}, (2,)), Variation(encodings, (1, 2))]
    found = run_branched(llama.graph(), chosen, variations, weighting=[0])
    wanted = expected(llama, encodings, chosen, (1, 2))
    assert found[1].shape == (22,)
    np.testing.assert_allclose(found[1], wanted, rtol=0.02, atol=1e-9)
    assert wanted.mean() > 1e-8


def test_a_tied_table_is_stored_otherwise_in_both_places(tied):
    chosen = texts(tied)
    [found] = run_branched(tied.graph(), chosen, [Variation({TABLE: INT4}, (1,))], weighting=[0])
    wanted = expected(tied, {TABLE: INT4}, chosen, (1,))
    np.testing.assert_allclose(found, wanted, rtol=0.02, atol=1e-9)


def test_blocks_of_rows_change_nothing(llama, monkeypatch):
    chosen, variations = texts(llama), [Variation({DOWN: INT4, HEAD: INT4}, (1,))]
    whole = run_branched(llama.graph(), chosen, variations, weighting=[0])
    monkeypatch.setattr(reading, "BLOCK_BYTES", 21 * 4 * 72)
    parts = run_branched(llama.graph(), chosen, variations, weighting=[0])
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-3, atol=1e-10)


def test_what_keeps_all_values_costs_nothing(llama):
    variations = [Variation({DOWN: encoding("f32")}, (1,)), Variation({}, (1,))]
    found = run_branched(llama.graph(), texts(llama), variations, weighting=[0])
    assert max(float(each.max()) for each in found) < 1e-10


def test_observers_see_the_float_model_alone(llama):
    class Seen(Observer):
        def __init__(self):
            self.inputs = {}

        def linear(self, weight, inputs):
            self.inputs[weight] = inputs.copy()

    chosen, plain, beside = texts(llama), Seen(), Seen()
    run(llama.graph(), chosen, [plain])
    variations = [Variation({DOWN: INT4}, (1, 2))]
    run_branched(llama.graph(), chosen, variations, weighting=[0], observers=[beside])
    assert plain.inputs.keys() == beside.inputs.keys()
    for name, inputs in plain.inputs.items():
        np.testing.assert_allclose(beside.inputs[name], inputs, rtol=0, atol=1e-5)


def test_a_graph_whose_logits_no_layer_gives_is_refused(llama):
    model = llama.graph()
    next(value for value in model.graph.outputs if value.name == LOGITS).name = "scores"
    with pytest.raises(UnsupportedError, match="whose outputs are the logits"):
        run_branched(model, texts(llama), [], weighting=[0])


def test_embeddings_are_not_weighted():
    moments = np.arange(1.0, 25.0)
    assert weighted(INT4, Role.EMBEDDING, moments) is INT4
    assert weighted(INT4, Role.LINEAR, moments).importance is not None
    assert weighted(encoding("f32"), Role.LINEAR, moments) is encoding("f32")
