"""What a run costs follows from its artifacts and from what this machine does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.config_only import NamedConfig
from convert.planning import plan
from convert.prediction import conversion as module
from convert.prediction.rates import nanoseconds
from convert.recipe import Artifact, Recipe
from passes.encodings import ENCODINGS
from tests.convert.hardware.test_this_machine import SPEEDS
from tests.support.raw_configs import small_raw_config


@pytest.fixture(autouse=True)
def known_machine(monkeypatch):
    monkeypatch.setattr(module, "this_machine", lambda: SPEEDS)
    monkeypatch.setattr(module, "available_memory", lambda: 8 << 30)


def cost(*artifacts, layers=2, **recipe):
    sizes = {"hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": layers}
    raw = small_raw_config("llama", **sizes)
    made = Recipe(name="r", artifacts=artifacts, **recipe)
    return plan(NamedConfig("m", raw), made).conversion


Q8, Q4 = Artifact(format="gguf", encoding="q8_0"), Artifact(format="gguf", encoding="q4_0")


def test_more_weights_take_more_time_and_disk_and_no_more_memory():
    small, large = cost(Q8), cost(Q8, layers=20)
    assert large.seconds > small.seconds
    assert large.disk > 5 * small.disk
    assert large.memory == small.memory


def test_two_artifacts_cost_more_than_one():
    both = cost(Q8, Q4)
    for one in (cost(Q8), cost(Q4)):
        assert both.seconds > one.seconds
        assert both.disk > one.disk
        assert both.memory > one.memory
    assert both.checking_seconds > cost(Q8).checking_seconds


def test_a_text_costs_time_and_memory():
    weighted, plain = cost(Q4), cost(Q4, calibrate="none")
    assert weighted.memory > plain.memory
    assert weighted.seconds >= plain.seconds
    assert weighted.disk > plain.disk


def test_what_is_too_little_is_said(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 1 << 20)
    short = cost(Q8)
    assert short.lacks
    assert "TOO LITTLE memory" in "\n".join(short.lines())
    assert short.to_json()["fits"] is False
    full = replace(short, free_memory=1 << 40, free_disk=0)
    assert [lack.split(":")[0] for lack in full.lacks] == ["disk"]
    assert not replace(full, free_disk=1 << 40).lacks


def test_what_is_not_estimated_is_said():
    lines = cost(Artifact(format="gguf", encoding="q4_k", method="gptq")).lines()
    assert "at least" in lines[0]
    assert "gptq itself" in lines[0]


def test_programs_are_exported_for_some_targets_only():
    gaudi = Artifact(format="gaudi")
    bare = Artifact(format="gaudi", options={"graphs": False})
    assert cost(gaudi).seconds > cost(bare).seconds + 5
    assert cost(gaudi).memory > cost(bare).memory


def test_a_slower_machine_takes_longer(monkeypatch):
    before = cost(Q8).seconds
    slower = replace(SPEEDS, conversions=SPEEDS.conversions / 4)
    monkeypatch.setattr(module, "this_machine", lambda: slower)
    assert cost(Q8).seconds > 3 * before


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_has_a_rate(name):
    rate = nanoseconds(name)
    assert 0 < rate.plain <= rate.weighted < 100
