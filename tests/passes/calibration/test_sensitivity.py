"""What an encoding costs is measured, and derived from what is measured near it."""

from __future__ import annotations

import numpy as np
import pytest

from passes.calibration.sensitivity import (
    Asked,
    Sensitivity,
    Texts,
    in_groups,
    joint_kld,
    measure,
)
from passes.encodings import encoding
from tests.support.models import random_ids, small_model

NAMES = ("model.layers.0.mlp.down_proj.weight", "model.layers.1.self_attn.v_proj.weight")
CANDIDATES = tuple(encoding(name) for name in ("int4_g24", "int8", "f32"))


@pytest.fixture(scope="module")
def llama():
    return small_model("llama")


@pytest.fixture(scope="module")
def texts(llama):
    weighting, *reading = (random_ids(1, n, llama.config.vocab, seed=n)[0] for n in (9, 30, 17))
    return Texts((weighting,), tuple(reading))


@pytest.fixture(scope="module")
def found(llama, texts):
    asked = [Asked(name, CANDIDATES, ("int4_g24", "int8")) for name in NAMES]
    return measure(llama.graph(), texts, asked)


def test_texts_are_numbered(texts):
    assert texts.read == (1, 2)
    assert texts.tokens == 47
    assert [len(text) for text in texts.all] == [9, 30, 17]


def test_more_bits_err_and_cost_less(found):
    for name in NAMES:
        errors, measured = found[name].errors, found[name].measured
        assert errors["int4_g24"] > 20 * errors["int8"] > 0
        assert errors["f32"] == 0
        assert measured.keys() == {"int4_g24", "int8"}
        assert measured["int4_g24"] > 20 * measured["int8"] > 0


def test_a_derived_cost_is_near_the_measured_one(found):
    for name in NAMES:
        one = found[name]
        derived = Sensitivity(one.errors, {"int4_g24": one.measured["int4_g24"]})
        assert derived.kld("int8") == pytest.approx(one.measured["int8"], rel=0.5)
        assert derived.kld("int4_g24") == one.measured["int4_g24"]
        assert derived.kld("f32") == 0


def test_costs_of_all_weights_nearly_add_up(llama, texts, found):
    assignments = [{name: encoding(stored) for name in NAMES} for stored in ("int4_g24", "int8")]
    together = joint_kld(llama.graph(), texts, [*assignments, {}])
    for kld, stored in zip(together, ("int4_g24", "int8"), strict=False):
        assert kld == pytest.approx(sum(found[name].kld(stored) for name in NAMES), rel=0.3)
    assert together[2] == 0


def test_the_nearest_measured_encoding_decides():
    one = Sensitivity({"a": 1.0, "b": 0.5, "c": 0.01, "d": 0.02}, {"a": 0.8, "c": 0.001})
    assert one.kld("b") == pytest.approx(0.4)
    assert one.kld("d") == pytest.approx(0.002)


def test_without_a_measured_encoding_nothing_costs():
    assert Sensitivity({"a": 0.0}, {}).kld("a") == 0


def test_groups_hold_no_more_than_fits():
    asked = [Asked(str(n), CANDIDATES, ("x",) * count) for n, count in enumerate((1, 2, 1, 5, 1))]
    groups = [[int(one.name) for one in group] for group in in_groups(asked, 3)]
    assert groups == [[0, 1], [2], [3], [4]]


def test_groups_change_nothing(llama, texts, found):
    for name in NAMES:
        alone = measure(llama.graph(), texts, [Asked(name, CANDIDATES, ("int8", "int4_g24"))])
        for stored, cost in found[name].measured.items():
            np.testing.assert_allclose(alone[name].measured[stored], cost, rtol=1e-2)
        assert alone[name].errors == pytest.approx(found[name].errors, rel=1e-5)
