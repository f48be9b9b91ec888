"""A manifest may not contradict itself about its gate, nor what a new gate finds."""

from __future__ import annotations

import pytest

from convert.errors import VerificationError
from convert.manifest import GateRecord
from convert.provenance.claims import check_claims, require_as_claimed
from golden.result import GateResult
from tests.support.finished import gate_record, manifest_of


def result_of(**figures):
    return GateResult.from_json(gate_record(**figures).result)


def test_figures_within_their_thresholds_and_a_skipped_gate_are_no_contradiction(tmp_path):
    check_claims(manifest_of(tmp_path))
    check_claims(manifest_of(tmp_path, gate=GateRecord(status="unverified")))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (GateRecord(status="passed"), "no figures"),
        (gate_record(mean_kld=0.3), "mean KL"),
        (gate_record(top1=0.5), "top-1"),
        (gate_record(non_finite=1), "NaN"),
        (gate_record().model_copy(update={"weight_error": 0.5}), "w differs"),
        (gate_record().model_copy(update={"weight_error": float("nan")}), "w differs"),
        (gate_record().model_copy(update={"result": {"passed": True}}), "cannot be read"),
        (
            gate_record().model_copy(update={"result": gate_record().result | {"passed": False}}),
            "verdict of failed",
        ),
        (
            gate_record().model_copy(update={"result": gate_record().result | {"failures": ["x"]}}),
            "x",
        ),
    ],
)
def test_a_gate_that_passed_with_figures_that_do_not_is_refused(tmp_path, gate, said):
    with pytest.raises(VerificationError, match="contradicts itself") as caught:
        check_claims(manifest_of(tmp_path, gate=gate))
    assert said in caught.value.found


def test_figures_that_differ_as_machines_do_are_as_claimed(tmp_path):
    manifest = manifest_of(tmp_path)
    require_as_claimed(manifest, result_of())
    require_as_claimed(manifest, result_of(mean_kld=0.013, top1=0.94, perplexity_ratio=1.02))
    require_as_claimed(manifest, result_of(mean_kld=0.001, top1=1.0, perplexity_ratio=0.9))


@pytest.mark.parametrize(
    "worse", [{"mean_kld": 0.0136}, {"top1": 0.92}, {"perplexity_ratio": 1.04}, {"non_finite": 1}]
)
def test_figures_that_are_better_than_what_is_found_are_forged(tmp_path, worse):
    with pytest.raises(VerificationError, match="worse than its manifest claims") as caught:
        require_as_claimed(manifest_of(tmp_path), result_of(**worse))
    assert next(iter(worse)) in caught.value.found
