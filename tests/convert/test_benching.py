"""How fast an artifact runs, measured in its runtime."""

from __future__ import annotations

import json

import pytest

from convert.benching import Speed, measure_speed
from convert.errors import MissingFileError, UnsupportedError

COUNTS = {"prompt_tokens": 5, "new_tokens": 3, "threads": 2}


def test_times_of_the_prompt_and_of_each_token(converted):
    speed = measure_speed(converted.artifacts["onnx-f32"], **COUNTS, profile=False)
    assert (speed.prompt_tokens, speed.new_tokens) == (5, 3)
    assert speed.first_ms > 0
    assert speed.next_ms > 0
    assert speed.decode_by_kind == {}


def test_times_by_kind_of_operator(converted):
    speed = measure_speed(converted.artifacts["openvino-int8"], **COUNTS, profile=True)
    assert speed.prompt_by_kind["linear"] > 0
    assert speed.decode_by_kind["linear"] > 0
    assert speed.decode_by_kind["rest"] > 0


def test_a_runtime_that_tells_no_times_is_named(converted):
    with pytest.raises(UnsupportedError, match="tells no times"):
        measure_speed(converted.artifacts["onnx-f32"], **COUNTS, profile=True)


def test_what_is_no_artifact_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        measure_speed(tmp_path, **COUNTS, profile=False)


def test_what_is_shown():
    speed = Speed(8, 2, 12.34, 1.5, {"linear": 3000.0, "rest": 1000.0}, {"linear": 500.0})
    text = speed.as_text()
    assert "first token: 12.3 ms for a prompt of 8 tokens" in text
    assert "next token:  1.50 ms, median of 2" in text
    assert "3.000 ms  75.0%" in text
    assert "0.500 ms 100.0%" in text
    assert json.loads(speed.as_json())["next_ms"] == 1.5
