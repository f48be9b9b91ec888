"""This machine is measured once; another processor, or a damaged file, is measured anew."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from convert.hardware import this_machine as module
from convert.hardware.this_machine import Speeds, this_machine

SPEEDS = Speeds(2, 8 << 30, 2e10, 1e11, 1e9, 5e8, 1e9)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    this_machine.cache_clear()
    yield tmp_path / "tricast" / "machine.json"
    this_machine.cache_clear()


@pytest.fixture
def measured(monkeypatch):
    """How often it was measured, without measuring."""
    times = []
    monkeypatch.setattr(module, "_measure", lambda: times.append(1) or SPEEDS)
    return times


def again():
    this_machine.cache_clear()
    return this_machine()


def test_it_is_measured_once(cache, measured):
    first = again()
    assert replace(again(), memory=first.memory) == first == SPEEDS
    assert len(measured) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"machine": 1}', '{"machine": [], "speeds": {}}']
)
def test_a_damaged_file_is_measured_anew(cache, measured, text):
    cache.parent.mkdir()
    cache.write_text(text)
    assert again() == SPEEDS
    assert json.loads(cache.read_text())["speeds"]["cores"] == 2


@pytest.mark.parametrize("value", [0, -1, "fast", None, 1e30, True])
def test_a_speed_that_cannot_be_is_measured_anew(cache, measured, value):
    again()
    document = json.loads(cache.read_text())
    document["speeds"]["bandwidth"] = value
    cache.write_text(json.dumps(document))
    assert again() == SPEEDS
    assert len(measured) == 2


def test_other_cores_are_measured_anew(cache, measured, monkeypatch):
    again()
    monkeypatch.setattr(module, "_cores", lambda: 96)
    again()
    assert len(measured) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, measured):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert again() == SPEEDS
    this_machine.cache_clear()


def test_what_is_measured_is_plausible(cache):
    speeds = again()
    assert 1e8 < speeds.bandwidth < 1e13
    assert 1e8 < speeds.operations < 1e15
    assert 1e7 < speeds.hashing < 1e11
    assert 1e5 < speeds.writing < 1e12
    assert 1e6 < speeds.conversions < 1e12
    hardware = speeds.hardware()
    assert hardware.capacity == speeds.memory
    assert hardware.compute["f32"].source.startswith("measured here")
