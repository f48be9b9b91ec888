"""Plans from a config alone agree with what a run writes, and refuse what does not fit."""

from __future__ import annotations

import copy
import json

import pytest

from convert.checkpoint import open_checkpoint
from convert.config_only import NamedConfig
from convert.errors import (
    DoesNotFitError,
    UnsupportedEncodingError,
    UnsupportedError,
    UsageError,
)
from convert.hardware.fleet import fleet_of
from convert.planning import plan
from convert.prediction.asked import Asked
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import Artifact, Recipe
from passes.quantize import coverage
from targets.deployment import DeploymentPlan, MemoryPart
from targets.gguf.target import GgufTarget
from tests.support.machines import MACHINE
from tests.support.raw_configs import small_raw_config
from tests.support.runs import TINY_LLAMA

TINY = NamedConfig("tiny-llama", json.loads((TINY_LLAMA / "config.json").read_text()))


def recipe(*artifacts: Artifact) -> Recipe:
    return Recipe(name="r", artifacts=artifacts)


def test_a_plan_has_the_bytes_that_a_run_writes():
    artifacts = [
        Artifact(format="gguf", encoding="q4_0"),
        Artifact(format="openvino", encoding="int4_g64"),
        Artifact(format="onnx"),
        Artifact(format="gaudi", options={"graphs": False}),
    ]
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    source = open_source(checkpoint)
    for one in plan(TINY, recipe(*artifacts)).artifacts:
        artifact = resolve_encoding(one.artifact)
        made = prepare(checkpoint, source, artifact, tokenizer=True, strict=False)
        written = coverage(made.model)
        assert one.nbytes == sum(tensor.nbytes for tensor in written)
        # Beside the weights there are headers, a graph and a tokenizer.
        assert one.nbytes < made.nbytes
        assert sum(part.tensors for part in one.weights) == len(written)


def test_parameters_are_counted_once():
    raw = small_raw_config("llama", tie_word_embeddings=True)
    tied = plan(NamedConfig("m", raw), recipe(Artifact(format="onnx")))
    untied = plan(
        NamedConfig("m", {**raw, "tie_word_embeddings": False}), recipe(Artifact(format="onnx"))
    )
    assert untied.parameters - tied.parameters == raw["vocab_size"] * raw["hidden_size"]
    elements = sum(part.elements for part in tied.artifacts[0].weights)
    assert elements == tied.parameters


def test_ranks_are_planned_a_card_each():
    sizes = {"batch": 1}
    whole, cut = (
        Artifact(format="gaudi", options=own, tensor_parallel=ranks)
        for own, ranks in (({**sizes, "cards": 2}, None), (sizes, 2))
    )
    expected, found = plan(TINY, recipe(whole, cut)).artifacts
    assert found.deployment == expected.deployment


def test_text_and_json_say_the_same():
    planned = plan(TINY, recipe(Artifact(format="gguf", encoding="q4_0")))
    document = json.loads(planned.as_json())
    assert document["parameters"] == planned.parameters
    stored = document["artifacts"][0]
    assert stored["bytes"] == sum(part["bytes"] for part in stored["weights"])
    assert stored["deployment"] is None
    text = planned.as_text()
    assert f"{planned.parameters:,} parameters" in text
    assert f"gguf-q4_0: {stored['bytes']:,} bytes of weights" in text
    planned.require_fit()


def deployed_on(capacity):
    def plan_deployment(self, config, model, options):
        parts = (MemoryPart("weights", 100, "all"),)
        return DeploymentPlan("a device", capacity, parts, remedy="buy more")

    return plan_deployment


def test_what_does_not_fit_is_printed_and_refused(monkeypatch):
    monkeypatch.setattr(GgufTarget, "plan_deployment", deployed_on(60))
    planned = plan(TINY, recipe(Artifact(format="gguf"), Artifact(format="onnx")))
    assert "40 bytes short" in planned.as_text()
    assert json.loads(planned.as_json())["artifacts"][0]["deployment"]["shortfall"] == 40
    with pytest.raises(DoesNotFitError, match="a device: 40 bytes short") as caught:
        planned.require_fit()
    assert "buy more" in str(caught.value)


def test_several_that_do_not_fit_are_all_named(monkeypatch):
    monkeypatch.setattr(GgufTarget, "plan_deployment", deployed_on(60))
    both = recipe(
        Artifact(format="gguf", encoding="q4_0"), Artifact(format="gguf", encoding="q8_0")
    )
    with pytest.raises(DoesNotFitError, match="2 artifacts do not fit") as caught:
        plan(TINY, both).require_fit()
    assert "gguf-q4_0: 40 bytes short; gguf-q8_0" in str(caught.value)


def test_a_run_is_refused_before_it_writes(monkeypatch):
    monkeypatch.setattr(GgufTarget, "plan_deployment", deployed_on(60))
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    artifact = resolve_encoding(Artifact(format="gguf"))
    with pytest.raises(DoesNotFitError, match="40 bytes short"):
        prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=True, strict=False)


def test_a_gguf_of_nf4_is_one_of_iq4_nl_and_its_coverage_says_so():
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    artifact = resolve_encoding(Artifact(format="gguf", encoding="nf4"))
    source = open_source(checkpoint)
    model = prepare(checkpoint, source, artifact, tokenizer=True, strict=False).model
    tensors = {tensor.name: tensor for tensor in coverage(model)}
    found = tensors["model.layers.0.mlp.up_proj.weight"]
    assert found.encoding == "iq4_nl"
    assert found.fallback == "the target has no nf4, of which iq4_nl is the kin"


def test_a_family_that_the_target_cannot_express_is_refused():
    raw = small_raw_config("qwen2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GgufTarget, "families", frozenset({"llama"}))
        with pytest.raises(UnsupportedError, match="cannot express qwen2"):
            plan(NamedConfig("m", raw), recipe(Artifact(format="gguf")))


def test_of_a_mix_the_most_bytes_are_planned_and_no_encodings():
    [bits, kld] = plan(
        TINY, recipe(Artifact(format="gguf", target_bits=5), Artifact(format="gguf", max_kld=0.1))
    ).artifacts
    elements = sum(one.elements for one in bits.weights)
    assert bits.nbytes == bits.to_json()["bytes"] == 5 * elements // 8
    assert f"at most {bits.nbytes:,} bytes" in bits.lines()[0]
    assert kld.nbytes is kld.to_json()["bytes"] is None
    assert bits.to_json()["weights"] == kld.to_json()["weights"] == []
    assert not any("q8_0" in line for line in (*bits.lines(), *kld.lines()))


def test_a_given_imatrix_needs_no_text_and_counts_for_the_rules_of_a_mix():
    sizes = {"num_hidden_layers": 8, "hidden_size": 96, "intermediate_size": 64}
    model = NamedConfig("small", small_raw_config("llama", **sizes))
    artifact = Artifact(format="gguf", encoding="q4_0")
    [without] = plan(model, recipe(artifact)).artifacts
    assert "q4_1" not in {one.encoding for one in without.weights}
    assert without.text_runs
    given = Recipe(name="r", imatrix="a.gguf", artifacts=(artifact,))
    [planned] = plan(model, given).artifacts
    assert {one.encoding: one.tensors for one in planned.weights}["q4_1"] == 1
    assert planned.text_runs == ()


def test_an_artifact_is_planned_on_every_machine_that_is_named():
    planned = plan(TINY, recipe(Artifact(format="gguf")), hardware=("h200", "graviton4"))
    [artifact] = planned.artifacts
    assert [machine.name for machine in artifact.hardware] == ["h200", "graviton4"]
    text = planned.as_text()
    assert "h200: NVIDIA H200 SXM: predicted, not measured" in text
    assert text.count("next token: ") == 2
    assert "Assumptions" in text
    document = json.loads(planned.as_json())
    assert [one["hardware"] for one in document["artifacts"][0]["hardware"]] == [
        "h200",
        "graviton4",
    ]
    assert document["conversion"]["seconds"] > 0


def test_the_machines_of_a_recipe_are_planned_unless_others_are_named():
    named = Recipe(name="r", hardware=("h200",), artifacts=(Artifact(format="gguf"),))
    assert [one.name for one in plan(TINY, named).artifacts[0].hardware] == ["h200"]
    [other] = plan(TINY, named, hardware=("gaudi3",)).artifacts[0].hardware
    assert other.name == "gaudi3"


def test_what_is_asked_of_no_machine_is_refused():
    with pytest.raises(UsageError, match="none is named"):
        plan(TINY, recipe(Artifact(format="gguf")), asked=Asked(batch=4))
    [gaudi] = plan(TINY, recipe(Artifact(format="gaudi")), asked=Asked(batch=4)).artifacts
    assert "batch 4" in gaudi.deployment.title


def test_a_machine_that_is_too_small_is_refused_by_name(tmp_path):
    own = copy.deepcopy(MACHINE)
    own["memory"]["value"] = 1_000_000_001
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(own))
    planned = plan(TINY, recipe(Artifact(format="gguf")), hardware=("h200", str(path)))
    with pytest.raises(DoesNotFitError, match="bytes short on each"):
        planned.require_fit()


def test_hardware_without_an_arithmetic_refuses_an_encoding_that_needs_it():
    fp8 = recipe(Artifact(format="gaudi", encoding="fp8"))
    with pytest.raises(UnsupportedEncodingError, match="no FP8"):
        plan(TINY, fp8, hardware=("gaudi1",))
    assert plan(TINY, fp8, hardware=("gaudi3",)).artifacts[0].hardware


@pytest.mark.parametrize("family", ["llama", "bloom", "yuan", "mistral", "qwen2", "qwen3_moe"])
def test_models_of_every_kind_are_planned(family):
    raw = small_raw_config(family)
    for tied in (True, False):
        model = NamedConfig("m", {**raw, "tie_word_embeddings": tied})
        planned = plan(model, recipe(Artifact(format="onnx")), hardware=("xeon-spr",))
        [machine] = planned.artifacts[0].hardware
        assert machine.reached.next_token(200).seconds > machine.bound.next_token(200).seconds > 0


def test_a_mix_may_fit_where_8_bits_do_not(tmp_path):
    own = copy.deepcopy(MACHINE)
    own["memory"]["value"] = 1_000_000_001
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(own))
    planned = plan(TINY, recipe(Artifact(format="gguf", target_bits=4)), hardware=(str(path),))
    assert "of all tensors in 8 bits" in planned.as_text()
    assert "DOES NOT FIT" in planned.as_text()
    planned.require_fit()


def test_a_fleet_is_planned_if_it_is_asked_for():
    q4 = recipe(Artifact(format="gguf", encoding="q4_0"))
    planned = plan(TINY, q4, fleet=fleet_of(4, price=2.0))
    document = json.loads(planned.as_json())["fleet"]
    assert (document["workers"], document["bottleneck"]) == (4, "start-up")
    assert document["price"] == pytest.approx(5 * 2 * planned.fleet.seconds / 3600, abs=0.01)
    assert "4 workers of 16 cores" in planned.as_text()
    assert "fleet" not in json.loads(plan(TINY, q4).as_json())
