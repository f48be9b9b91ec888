"""What is asked of a fleet follows from the plans of the artifacts."""

from __future__ import annotations

import pytest

from convert.calibration_cost import Matrix
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.prediction.fleet_work import TextPath, fleet_work
from convert.preparation import resolve_encoding
from convert.recipe import Artifact, Recipe
from tests.support.raw_configs import small_raw_config

Q4, Q8 = Artifact(format="gguf", encoding="q4_0"), Artifact(format="gguf", encoding="q8_0")


def work(*artifacts, family="llama", **recipe):
    made = tuple(map(resolve_encoding, artifacts))
    raw = small_raw_config(family, hidden_size=96, intermediate_size=64)
    planner = Planner(raw, Recipe(name="r", artifacts=made, **recipe))
    return fleet_work(planner, [planner.planned(each, {}, Asked()) for each in made])


def test_bytes_are_those_of_the_plans():
    both, one = work(Q4, Q8), work(Q8)
    assert both.artifacts == (work(Q4).made, one.made)
    assert both.made == sum(both.artifacts)
    assert both.source == one.source > one.made > work(Q4).made
    assert both.encoding > one.encoding > 0
    # Small weights are a chunk each: 9 of each of two layers, embedding, norm and head.
    assert both.chunks == 2 * 9 + 3


def test_a_text_runs_where_scales_are_weighted():
    text = work(Q4).text
    assert text.tokens == 128
    assert text.between > 0
    # All of one layer, and of the last what goes into its attention: its outputs lead nowhere.
    assert 7 <= sum(text.matrices.values()) <= 14
    assert work(Q8).text is work(Q4, calibrate="none").text is None


def test_few_tokens_come_to_an_expert():
    text = work(Q4, family="mixtral").text
    assert 0 < text.share < 1
    whole = TextPath(text.tokens, text.matrices, text.between)
    assert text.inputs < whole.inputs
    assert text.outputs < whole.outputs


def test_texts_that_read_the_weights_themselves_are_not_estimated():
    told = work(Artifact(format="gguf", encoding="q4_k", method="gptq")).not_estimated
    assert "to find codes by gptq" in told
    assert work(Q4).not_estimated == ()


def test_a_weight_is_waited_for_in_rounds():
    path = TextPath(128, {Matrix(4096, 4096, 4, False): 10}, 2.0)

    def seconds(cores):
        return path.seconds(cores, 1, 0.5)

    product = 4096 * 4096 / 4 * 1.5e-9
    assert seconds(4) == seconds(400) == pytest.approx(2 + 10 * (0.5 + 1 + product))
    assert seconds(3) == pytest.approx(2 + 10 * (0.5 + 2 * (1 + product)))
    assert path.inputs == path.outputs == 10 * 4 * 128 * 4096
