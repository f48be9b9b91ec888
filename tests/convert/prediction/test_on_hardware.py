"""An artifact on a machine: memory, times and cache, in words and in JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import DoesNotFitError
from convert.hardware.profile import Hardware
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.prediction.on_hardware import plan_on
from convert.preparation import resolve_encoding
from convert.recipe import Artifact, Recipe
from targets.deployment import Workload
from tests.support.machines import MACHINE
from tests.support.raw_configs import small_raw_config

HARDWARE = Hardware.model_validate(MACHINE)
WORK = Workload(batch=2, prompt=100, context=140)


@pytest.fixture(scope="module")
def stored():
    artifact = resolve_encoding(Artifact(format="onnx", encoding="bf16"))
    planner = Planner(small_raw_config("llama"), Recipe(name="r", artifacts=(artifact,)))
    return planner, artifact, planner.graph(artifact)


def planned(stored, hardware=HARDWARE, work=WORK):
    planner, _, graph = stored
    return plan_on("four", hardware, planner.config, graph, work)


def test_the_parts_of_the_memory_are_counted(stored):
    plan = planned(stored)
    parts = {part.kind: part.nbytes for part in plan.memory.parts}
    assert parts["weights"] == 2 * stored[0].parameters + 2 * stored[0].config.hidden * 5
    assert parts["KV cache"] == plan.cache.nbytes(2, 140)
    assert parts["runtime"] == 1_000_000_000
    assert plan.memory.fits


def test_text_has_times_and_their_bounds_and_where_they_come_from(stored):
    plan = planned(stored)
    text = "\n".join(plan.lines())
    assert "predicted, not measured" in text
    assert "first token of 2 x 100: " in text
    assert "(at least " in text
    assert "context has 140 tokens" in text
    assumed = "\n".join(plan.assumptions())
    for figure in HARDWARE.figures().values():
        assert figure.source in assumed
    assert "share of bandwidth: 50 %" in assumed
    assert "start of an operator: 1 us" in assumed
    assert "bandwidth: 1 TB/s" in assumed


def test_json_says_the_same(stored):
    plan = planned(stored)
    document = plan.to_json()
    first, late = (
        document["latency"][key] for key in ("first_token", "next_token_at_full_context")
    )
    assert first["predicted"] == plan.reached.first_token().seconds > first["at_least"] > 0
    assert late["predicted"] == plan.reached.next_token(140).seconds
    caches = document["kv_cache"]["by_batch_and_context"]
    assert {"batch": 2, "context": 140, "bytes": plan.cache.nbytes(2, 140)} in caches
    assert {name: figure["value"] for name, figure in document["assumptions"].items()} == {
        name: figure.value for name, figure in HARDWARE.figures().items()
    }


def test_a_model_that_does_not_fit_says_by_how_much(stored):
    small = HARDWARE.model_copy(
        update={"memory": HARDWARE.memory.model_copy(update={"value": 1_000_000_000})}
    )
    plan = planned(stored, small)
    assert plan.memory.shortfall == plan.memory.needed - 1_000_000_000
    assert "DOES NOT FIT" in "\n".join(plan.lines())
    with pytest.raises(DoesNotFitError, match="bytes short on each"):
        plan.memory.require_fit()


def test_no_times_are_predicted_for_several_machines(stored):
    plan = planned(stored, work=replace(WORK, devices=8))
    assert plan.reached is plan.to_json()["latency"] is None
    assert "8 devices are more than the 4 of one machine" in "\n".join(plan.lines())


def test_several_devices_exchange_and_hold_less(stored):
    one, four = planned(stored), planned(stored, work=replace(WORK, devices=4))
    assert four.memory.needed < one.memory.needed
    assert four.reached.next_token(120).collectives > 0
    assert "4 cards" in four.memory.title


def test_the_machine_of_a_target_is_planned_by_the_target(stored):
    artifact = resolve_encoding(Artifact(format="gaudi"))
    gaudi = HARDWARE.model_copy(update={"settings": {"card": "gaudi3", "colour": "red"}})
    planner = Planner(small_raw_config("llama"), Recipe(name="r", artifacts=(artifact,)))
    asked = Asked(batch=3, prompt=16, context=48)
    plan = planner.on("gaudi3", gaudi, artifact, planner.graph(artifact), asked)
    assert plan.memory.capacity == 128_000_000_000
    assert plan.memory.title == "1 x Gaudi3, batch 3, 16 + 32 tokens"
