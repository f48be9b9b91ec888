"""The verdict as JSON, and how figures are judged."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from golden.format import ModelIdentity
from golden.metrics import Summary
from golden.result import GateResult, Parity, Sample, judge
from golden.thresholds import thresholds_for

LIMITS = thresholds_for("int8")
GOOD = Summary(
    positions=10, non_finite=0, mean_kld=0.001, max_kld=0.01, top1=0.99, perplexity_ratio=1.0
)
AGREES = Parity(5, 0)


def result(overall=GOOD, failures=(), faithful=None):
    return GateResult(
        target="fake",
        golden=ModelIdentity("tiny", "ab", "", 7),
        overall=overall,
        decoded=GOOD,
        faithful=faithful,
        prompts=(GOOD, GOOD),
        tokenizer=Parity(5, 1, "first"),
        chat=AGREES,
        sample=Sample((1, 2), (3,), "a", "b"),
        thresholds=LIMITS,
        failures=failures,
    )


@pytest.mark.parametrize("faithful", [None, GOOD])
def test_round_trip_through_json(faithful):
    written = result(failures=("why",), faithful=faithful)
    plain = json.loads(json.dumps(written.to_json(), allow_nan=False))
    assert plain["passed"] is False
    assert GateResult.from_json(plain) == written


def test_floats_have_six_digits_and_noise_is_zero():
    figures = dataclasses.replace(GOOD, mean_kld=3.4e-13, top1=0.123456789, max_kld=math.nan)
    overall = result(overall=figures).to_json()["overall"]
    assert (overall["mean_kld"], overall["top1"], overall["max_kld"]) == (0.0, 0.123457, None)
    assert math.isnan(GateResult.from_json(result(overall=figures).to_json()).overall.max_kld)


def test_exactly_at_the_threshold_passes():
    at = dataclasses.replace(
        GOOD,
        mean_kld=LIMITS.mean_kld,
        top1=LIMITS.top1,
        perplexity_ratio=LIMITS.perplexity_ratio,
    )
    assert judge(at, GOOD, None, AGREES, AGREES, LIMITS) == ()


@pytest.mark.parametrize("figure", ["mean_kld", "top1", "perplexity_ratio"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_fails_every_figure(figure, value):
    bad = dataclasses.replace(GOOD, **{figure: value})
    failures = judge(bad, GOOD, None, AGREES, AGREES, LIMITS)
    good_side = math.inf if figure == "top1" else -math.inf
    assert bool(failures) == (value != good_side)


def test_nan_in_the_decoded_tokens_fails():
    bad = dataclasses.replace(GOOD, mean_kld=math.nan)
    assert judge(GOOD, bad, None, AGREES, AGREES, LIMITS) == (
        "mean KL of the tokens decoded one by one cannot be computed",
    )


@pytest.mark.parametrize("value", [0.021, math.nan, math.inf])
def test_an_unfaithful_runtime_fails(value):
    bad = dataclasses.replace(GOOD, mean_kld=value)
    (failure,) = judge(GOOD, GOOD, bad, AGREES, AGREES, LIMITS)
    assert failure.startswith("mean KL to the original with the artifact's own weights")
    assert judge(GOOD, GOOD, GOOD, AGREES, AGREES, LIMITS) == ()
