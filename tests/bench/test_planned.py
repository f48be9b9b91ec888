"""A plan is held to what a run took: bytes exactly, memory and time within limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.measure import Usage
from bench.planned import Conversion, Held, report
from convert.planned_artifact import FileSize

CONVERSION = Conversion("a model", Path("model"), "gguf:q4_0")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def held(memory=100, seconds=4.0, size=10):
    artifact = SimpleNamespace(files=(FileSize("a", size),))
    cost = SimpleNamespace(memory=memory, seconds=seconds)
    plan = SimpleNamespace(conversion=cost, artifacts=[artifact])
    return Held(CONVERSION, plan, Usage(wall=5.0, user=7.0, system=1.0, peak=100), {"a": 10})


def test_a_plan_that_is_right_holds():
    assert held().faults == ()
    assert held(memory=86, seconds=7.4).faults == ()
    assert "| holds |" in held().row()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"size": 11}, "bytes"),
        ({"memory": 84}, "memory"),
        ({"memory": 116}, "memory"),
        ({"seconds": 7.6}, "time"),
        ({"seconds": 2.6}, "time"),
    ],
)
def test_what_is_too_far_off_is_named(wrong, fault):
    assert held(**wrong).faults == (fault,)
    assert f"| {fault} |" in report([held(**wrong)])


def test_a_file_that_was_not_planned_is_a_fault():
    assert replace(held(), written={"a": 10, "b": 1}).faults == ("bytes",)
