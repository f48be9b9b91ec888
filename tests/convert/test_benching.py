"""How fast an artifact runs, measured in its runtime."""

from __future__ import annotations

import pytest

from convert import benching
from convert.benching import Speed, measure_speed, measure_sweep
from convert.errors import MissingFileError, UnsupportedError, UsageError
from targets.openvino.target import OpenVinoTarget
from tests.convert.test_decoding import Successor

COUNTS = {"prompt_tokens": 5, "new_tokens": 3, "threads": 2}


def test_times_of_the_prompt_and_of_each_token(converted):
    speed = measure_speed(converted.artifacts["onnx-f32"], **COUNTS, profile=False)
    assert (speed.prompt_tokens, speed.new_tokens, speed.batch) == (5, 3, 1)
    assert 0 < speed.first_ms <= speed.first_p90_ms
    assert 0 < speed.next_ms <= speed.next_p90_ms
    assert speed.tokens_per_second == pytest.approx(1e3 / speed.next_ms)
    assert speed.decode_by_kind == {}


def test_times_by_kind_of_operator(converted):
    speed = measure_speed(converted.artifacts["openvino-int8"], **COUNTS, profile=True)
    assert speed.first_ms > 0
    assert speed.prompt_by_kind["linear"] > 0
    assert speed.decode_by_kind["linear"] > 0
    assert speed.decode_by_kind["rest"] > 0


@pytest.fixture
def target(monkeypatch):
    """A target whose runner counts, on a clock that every look moves on by a second."""

    class Stub:
        made = 0

        def runner(self, artifact, *, threads):
            Stub.made += 1
            self.loaded = Counting()
            return self.loaded

    class Counting(Successor):
        context = 20

        def __init__(self):
            super().__init__()
            self.begun, self.rooms = [], []

        def reserve(self, tokens):
            self.rooms.append(tokens)

        def begin(self, prompts):
            self.begun.append([len(prompt) for prompt in prompts])
            return super().begin(prompts)

    stub, ticks = Stub(), iter(range(10_000))
    monkeypatch.setattr(benching, "target_named", lambda name: stub)
    monkeypatch.setattr(benching.time, "perf_counter", lambda: next(ticks))
    return stub


def test_a_sweep_measures_every_batch_and_every_length(converted, target):
    speeds = list(
        measure_sweep(
            converted.artifacts["onnx-f32"],
            prompt_tokens=[3, 7],
            batches=[1, 4],
            new_tokens=5,
            threads=1,
        )
    )
    assert [(speed.batch, speed.prompt_tokens) for speed in speeds] == [
        (1, 3),
        (1, 7),
        (4, 3),
        (4, 7),
    ]
    assert speeds[3] == Speed(7, 5, 1e3, 1e3, 4, 1e3, 1e3)
    assert speeds[3].tokens_per_second == 4
    assert target.made == 1
    assert target.loaded.begun[-4:] == [[7] * 4] * 4
    assert target.loaded.rooms == [8, 12, 8, 12]
    assert [len(tokens) for tokens in target.loaded.advanced] == [1] * 10 + [4] * 10


def test_prompts_that_do_not_fit_are_refused_before_anything_is_measured(converted, target):
    artifact = converted.artifacts["onnx-f32"]
    counts = {"new_tokens": 1, "threads": 1}
    with pytest.raises(UsageError, match="longer than the artifact allows"):
        next(measure_sweep(artifact, prompt_tokens=[3, 20], batches=[1], **counts))
    assert not target.loaded.begun
    assert next(measure_sweep(artifact, prompt_tokens=[19], batches=[1], **counts))


def test_a_runtime_that_tells_no_times_is_named_before_it_loads(converted, monkeypatch):
    from targets.onnx.target import OnnxTarget

    monkeypatch.setattr(OnnxTarget, "runner", None)
    with pytest.raises(UnsupportedError, match="tells no times"):
        measure_speed(converted.artifacts["onnx-f32"], **COUNTS, profile=True)


def test_ranks_are_not_loaded_to_say_that_they_tell_no_times(tmp_path):
    (tmp_path / "tensor_parallel.json").write_text("not even read")
    with pytest.raises(UnsupportedError, match=r"launch\.sh") as caught:
        benching.measure_speed_of(OpenVinoTarget(), tmp_path, **COUNTS, profile=True)
    assert "--profile" in caught.value.remedy


def test_what_is_no_artifact_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        measure_speed(tmp_path, **COUNTS, profile=False)
    with pytest.raises(MissingFileError):
        next(measure_sweep(tmp_path, prompt_tokens=[1], batches=[1], new_tokens=1, threads=1))
