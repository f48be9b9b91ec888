"""Outcomes: every check of the gate beside its threshold, none lost, none invented."""

from __future__ import annotations

import dataclasses
import math

import pytest

from convert.manifest import read_manifest
from convert.outcomes import Outcome, gate_checks, recorded_outcome, weight_check
from golden.result import Check, Parity
from tests.convert.test_gate_lines import RESULT as ONE_TEXT_DIFFERS

RESULT = dataclasses.replace(ONE_TEXT_DIFFERS, tokenizer=Parity(10, 0))


def test_the_checks_of_a_gate_are_its_failures_and_more():
    names = [check.name for check in gate_checks(RESULT)]
    assert names == [
        "finite logits",
        "mean KL",
        "mean KL of the tokens decoded one by one",
        "perplexity ratio",
        "top-1 agreement",
        "tokenizer",
        "chat template",
    ]
    worse = dataclasses.replace(RESULT.overall, mean_kld=9.0, top1=0.0)
    checks = dataclasses.replace(RESULT, overall=worse).checks()
    assert [check.name for check in checks if not check.holds] == ["mean KL", "top-1 agreement"]
    assert all(check.value is not None for check in checks if not check.holds)


def test_what_the_gate_found_wrong_stays_wrong_where_figures_were_rounded():
    told = dataclasses.replace(RESULT, failures=("mean KL is above by a hair",))
    assert Outcome("a", gate_checks(told)).failures == ("mean KL is above by a hair",)


@pytest.mark.parametrize(("error", "holds"), [(0.01, True), (0.1, False), (math.nan, False)])
def test_the_worst_tensor_is_a_check(error, holds):
    check = weight_check("layer.7", error, 0.06)
    assert (check.holds, "layer.7" in check.said) == (holds, True)


def test_only_what_was_checked_has_passed():
    good, bad = Check("a", True, "good"), Check("b", False, "bad")
    assert Outcome("x", (good,)).passed
    assert not Outcome("x", (good, bad)).passed
    assert not Outcome("x", (good,), skipped="why").passed
    assert Outcome("x", (good, bad), error="died").failures == ("bad", "died")


def test_a_manifest_tells_its_outcome_again(converted):
    manifest = read_manifest(converted.artifacts["onnx-f32"])
    outcome = recorded_outcome(manifest)
    assert outcome.passed
    assert outcome.nbytes == sum(file.size for file in manifest.files)
    ungated = manifest.model_copy(
        update={"gate": manifest.gate.model_copy(update={"result": None})}
    )
    assert recorded_outcome(ungated).skipped
