"""When inputs are measured and smoothed, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from convert.errors import UsageError
from convert.recipe import Artifact, Override
from convert.smoothing import DEFAULT_ALPHA, GRID, MOST_ERROR, smoothing
from passes.calibration.observers import InputRange
from passes.encodings import ENCODINGS
from passes.kv_cache import StatefulCache
from passes.quantize import Policy, Quantize, coverage
from passes.smoothing.measuring import measure
from targets import target
from tests.support.models import random_ids, small_model

W8A8 = Policy("w8a8", "int8", "int8", (), ENCODINGS)
INT8 = Policy("int8", "int8", "int8", (), ENCODINGS)
OPENVINO = target("openvino")


class Dynamic(type(OPENVINO)):
    """A target that rounds inputs when the model runs."""

    fixed_input_ranges = False


@pytest.fixture(scope="module")
def measured():
    texts = [row.tolist() for row in random_ids(2, 15, 101)]
    return measure(small_model("llama").graph(), texts, (0.5,))


@pytest.mark.parametrize(
    ("setting", "alphas"),
    [(None, (DEFAULT_ALPHA,)), (0.7, (0.7,)), (1, (1.0,)), ("search", GRID), ("none", ())],
)
def test_what_is_asked_for_is_measured(setting, alphas, measured):
    asked = []

    def note(given):
        asked.append(given)
        return measured

    artifact = Artifact(format="openvino", encoding="w8a8", smooth_quant=setting)
    found = smoothing(artifact, OPENVINO, W8A8, note)
    assert asked == [alphas]
    assert (found.rewrite is None) == (setting == "none")


def test_nothing_is_measured_where_nothing_needs_it():
    def refuse(alphas):
        raise AssertionError("measured for nothing")

    plain = Artifact(format="openvino", encoding="int8", smooth_quant="none")
    assert smoothing(plain, OPENVINO, INT8, refuse).rewrite is None
    dynamic = Artifact(format="openvino", encoding="w8a8", smooth_quant="none")
    assert smoothing(dynamic, Dynamic(), W8A8, refuse).measured is None


def test_smoothing_without_inputs_of_eight_bits_is_refused():
    artifact = Artifact(format="openvino", encoding="int8", smooth_quant=0.5)
    with pytest.raises(UsageError, match="smooth_quant means nothing for int8"):
        smoothing(artifact, OPENVINO, INT8, lambda alphas: None)


def test_inputs_of_eight_bits_without_a_calibration_are_refused():
    for one in (OPENVINO, Dynamic()):
        artifact = Artifact(format="openvino", encoding="w8a8")
        with pytest.raises(UsageError, match="openvino-w8a8 needs a calibration"):
            smoothing(artifact, one, W8A8, lambda alphas: None)


def test_ranges_are_those_of_the_smoothed_inputs_where_they_are(measured):
    k_proj, o_proj = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "ko")
    overrides = (Override(pattern=k_proj, encoding="int8"),)
    artifact = Artifact(format="openvino", encoding="w8a8", overrides=overrides)
    policy = Policy("w8a8", "int8", "int8", ((k_proj, "int8"),), ENCODINGS)
    found = smoothing(artifact, OPENVINO, policy, lambda alphas: measured)
    model = small_model("llama").graph()
    for rewrite in (found.rewrite, StatefulCache(), Quantize(policy)):
        rewrite(model)
    ranges = found.input_ranges(model)
    assert k_proj not in ranges and len(ranges) == 13
    assert ranges[o_proj] == measured.smoothed[o_proj].within
    q_proj = k_proj.replace("k_proj", "q_proj")
    assert ranges[q_proj] == measured.plain[q_proj] != measured.smoothed[q_proj].within
    assert all(isinstance(each, InputRange) and np.isfinite(each).all() for each in ranges.values())


def _with_error(measured, name, error):
    smoothed = {
        group: replace(found, error=error if name in found.weights else 0.0)
        for group, found in measured.smoothed.items()
    }
    errors = {each: error if each == name else 0.0 for each in measured.errors}
    return replace(measured, smoothed=smoothed, errors=errors)


def test_layers_whose_inputs_suit_no_fixed_range_are_left_and_listed(measured):
    name = "model.layers.0.mlp.down_proj.weight"
    bad = _with_error(measured, name, 2 * MOST_ERROR)
    artifact = Artifact(format="openvino", encoding="w8a8")
    found = smoothing(artifact, OPENVINO, W8A8, lambda alphas: bad)
    assert found.rewrite.policy is found.policy
    model = small_model("llama").graph()
    for rewrite in (found.rewrite, Quantize(replace(found.policy, fallbacks=("int8",)))):
        rewrite(model)
    stored = {each.name: each for each in coverage(model)}
    assert stored[name].encoding == "int8"
    assert "fixed range of 8 bits for its inputs costs over 0.5%" in stored[name].fallback
    others = [each for each in stored.values() if each.role == "linear" and each.name != name]
    assert {each.encoding for each in others} == {"w8a8"}
    assert name not in found.input_ranges(model)


def test_where_inputs_are_rounded_as_they_come_none_is_left(measured):
    bad = _with_error(measured, "model.layers.0.mlp.down_proj.weight", 1.0)
    artifact = Artifact(format="openvino", encoding="w8a8")
    assert smoothing(artifact, Dynamic(), W8A8, lambda alphas: bad).policy is W8A8


def test_what_counts_is_the_error_as_the_layer_will_be(measured):
    q_proj, k_proj = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qk")
    rough_unless_smoothed = replace(
        measured,
        errors=dict.fromkeys(measured.errors, 0.0) | {q_proj: 1.0},
        smoothed={name: replace(each, error=0.0) for name, each in measured.smoothed.items()},
    )
    artifact = Artifact(format="openvino", encoding="w8a8")
    found = smoothing(artifact, OPENVINO, W8A8, lambda alphas: rough_unless_smoothed)
    assert not found.policy.unsuited
    beside = replace(W8A8, overrides=((k_proj, "int8"),))
    found = smoothing(artifact, OPENVINO, beside, lambda alphas: rough_unless_smoothed)
    assert set(found.policy.unsuited) == {q_proj}
