"""Calibration of 8-bit inputs: what is measured is what flows, and a search finds what is best."""

import numpy as np
import pytest

from convert.weights import read_float32
from passes.calibration import execution
from passes.calibration.execution import run
from passes.calibration.observers import InputRange, Observer
from passes.smoothing.fitting import MARGINS, Half, best_fit, rounded_inputs
from passes.smoothing.groups import Fold, groups
from passes.smoothing.measuring import measure
from passes.smoothing.scaling import divisors
from tests.support.models import random_ids, small_model

ALPHAS = (0.3, 0.6, 0.9)
DOWN_PROJ = "model.layers.1.mlp.down_proj.weight"


class Inputs(Observer):
    def __init__(self):
        self.held = {}

    def linear(self, weight, inputs):
        self.held[weight] = inputs.copy()


@pytest.fixture(scope="module")
def small():
    return small_model("yuan")


@pytest.fixture(scope="module")
def texts():
    return [row.tolist() for row in random_ids(3, 21, 101)]


@pytest.fixture(scope="module")
def inputs(small, texts):
    observer = Inputs()
    run(small.graph(), texts, (observer,))
    return observer.held


@pytest.fixture(scope="module")
def found(small, texts):
    return measure(small.graph(), texts, ALPHAS, text_sha256="0" * 64)


def test_every_layer_has_a_range_that_is_a_multiple_of_what_it_reads(found, inputs):
    assert found.plain.keys() == inputs.keys()
    for name, within in found.plain.items():
        low, high = inputs[name].min(), inputs[name].max()
        margins = within.low / low, within.high / high
        assert margins[0] == pytest.approx(margins[1])
        assert min(abs(margins[0] - one) for one in MARGINS) < 1e-5


def test_divisors_and_ranges_follow_from_largest_inputs_and_weights(small, found, inputs):
    folded = {group.name: group for group in groups(small.graph()) if group.fold is not None}
    assert found.smoothed.keys() == folded.keys()
    for name, group in folded.items():
        one = found.smoothed[name]
        read = [np.abs(read_float32(small.weights[each])).max(0) for each in group.weights]
        if "q_proj" not in name:  # queries and keys are cut from rows of both weights
            largest = np.maximum.reduce(read)
            expected = divisors(one.alpha, np.abs(inputs[name]).max(0), largest, group.fold)
            np.testing.assert_allclose(one.divisors, expected, rtol=1e-6)
        assert one.alpha in ALPHAS
        smoothed = inputs[name] / one.divisors[group.fold.channels]
        margin = one.within.high / smoothed.max()
        assert min(abs(margin - each) for each in MARGINS) < 1e-5
        assert one.within.low == pytest.approx(margin * smoothed.min(), rel=1e-5)


def test_the_text_is_named(found, texts):
    assert (found.text_sha256, found.tokens) == ("0" * 64, 63)


def test_nothing_is_smoothed_if_there_is_nothing_to_choose_from(small, texts, found):
    plain = measure(small.graph(), texts, ())
    assert plain.smoothed == {}
    assert plain.plain == found.plain


def outlier_layer(outlier):
    """Inputs with one large channel that weighs no more than others, of a made-up layer."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 24)).astype(np.float32)
    x[:, 5] *= outlier
    w = rng.normal(size=(40, 24)).astype(np.float32)
    w[:, 5] /= outlier
    halves = (Half.of(x[:100]), Half.of(x[100:]))
    return halves, w, np.abs(w).max(0), Fold(("n",), np.arange(24), np.arange(24))


def test_a_search_is_no_worse_than_any_of_its_alphas():
    made = outlier_layer(300)
    errors = [best_fit(*made, (alpha,)).error for alpha in (0.1, 0.5, 0.7, 0.9)]
    fit = best_fit(*made, (0.1, 0.5, 0.7, 0.9))
    assert fit.error == min(errors) < 0.2 * max(errors)
    assert fit.error < 0.02 * best_fit(*made[:3], None, (None,)).error


def test_one_token_is_enough():
    halves, w, largest, fold = outlier_layer(3)
    one = Half.of(halves[0].sample[:1])
    assert np.isfinite(best_fit((one, one), w, largest, fold, (0.5,)).error)


def test_inputs_that_are_all_zero_are_no_trouble():
    _, w, largest, fold = outlier_layer(3)
    nothing = Half.of(np.zeros((4, 24), np.float32))
    assert best_fit((nothing, nothing), w, largest, fold, (0.5,)).error == 0


def test_inputs_are_rounded_as_the_target_rounds_them():
    from targets.openvino.rounded_inputs import levels

    within = InputRange(-0.7, 3.0)
    low, high = map(float, levels(within))
    x = np.linspace(-2, 4, 997, dtype=np.float32)
    step = (high - low) / 255
    expected = np.clip(np.rint(x / np.float32(step)), round(low / step), round(high / step)) * step
    np.testing.assert_allclose(rounded_inputs(x, within), expected, atol=1e-6)


def test_batches_of_texts_are_all_seen(small, texts, monkeypatch):
    class Extremes(Observer):
        def __init__(self):
            self.seen = {}

        def linear(self, weight, inputs):
            low, high = self.seen.get(weight, (np.inf, -np.inf))
            self.seen[weight] = min(low, inputs.min()), max(high, inputs.max())

    extremes = Extremes()
    run(small.graph(), texts, (extremes,))
    monkeypatch.setattr(execution, "BATCH_TOKENS", 1)
    measured = measure(small.graph(), texts, (0.5,))
    assert len(texts) > 1
    for name, within in measured.plain.items():
        ratios = np.array(within) / np.array(extremes.seen[name])
        assert min(abs(ratios[1] - margin) for margin in MARGINS) < 1e-5
        assert abs(ratios[0] - ratios[1]) < 1e-5


def test_parts_of_a_half_that_follow_each_other_are_one():
    parts = [np.random.default_rng(seed).standard_normal((99, 5)) for seed in (0, 1)]
    found = Half.of(parts[0].astype(np.float32)).and_then(Half.of(parts[1].astype(np.float32)))
    whole = np.concatenate(parts).astype(np.float32)
    assert np.array_equal(found.low, whole.min(0)) and np.array_equal(found.high, whole.max(0))
    assert len(found.sample) == 128
    assert {tuple(row) for row in found.sample} <= {tuple(row) for row in whole}
