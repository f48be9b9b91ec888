"""The runner names what goes wrong, and stops where it should."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from convert.errors import RunnerCrashedError, UsageError
from targets import left_padding
from targets.openvino.run import EXACT, OpenVinoRunner
from targets.openvino.target import OpenVinoTarget
from tests.support.batches import require_batches
from tests.support.models import random_ids, small_model
from tests.targets.openvino.artifacts import FUSING, convert, encode_as


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return convert(small_model("llama"), tmp_path_factory.mktemp("artifact"))


def test_a_damaged_artifact_is_named(folder, tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(RunnerCrashedError, match="OpenVINO refuses"):
        OpenVinoRunner(tmp_path, threads=2)


def test_a_missing_artifact_is_named(tmp_path):
    with pytest.raises(RunnerCrashedError):
        OpenVinoTarget().runner(tmp_path, threads=2)


def test_a_bad_feed_is_named(folder):
    runner = OpenVinoRunner(folder, threads=2)
    with pytest.raises(RunnerCrashedError):
        runner.feed_batch(
            np.zeros((1, 2), np.int64),
            attention_mask=np.ones((3, 2), np.int64),
            position_ids=np.zeros((2, 5), np.int64),
        )


def test_without_a_tokenizer_there_is_neither_text_nor_chat(folder):
    runner = OpenVinoRunner(folder, threads=2)
    assert runner.tokenize("text") is runner.prompt_ids("text") is runner.detokenize([1]) is None
    assert runner.chat([{"role": "user", "content": "text"}]) is None


def test_the_missing_runtime_of_tokenizers_is_named(folder, monkeypatch, tmp_path):
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "openvino_tokenizer.xml").write_text("<net/>")
    monkeypatch.setitem(sys.modules, "openvino_genai", None)
    with pytest.raises(UsageError, match="openvino_genai"):
        OpenVinoRunner(tmp_path, threads=2).tokenize("text")


def test_one_thread_runs_with_default_precision(tmp_path):
    """Compiling this with one thread ends the process on machines with AMX instructions."""
    model = small_model("llama", **FUSING)
    runner = OpenVinoRunner(
        convert(model, tmp_path, quantize=encode_as("bf16", rest="bf16")), threads=1
    )
    assert runner.feed([1, 2, 3]).shape == (3, model.config.vocab)


@pytest.mark.parametrize("model_type", ["llama", "yuan"])
def test_a_batch_equals_its_sequences_alone(model_type, tmp_path, monkeypatch):
    model = small_model(model_type)
    runner = OpenVinoRunner(convert(model, tmp_path), threads=2, overrides=EXACT)
    runner.feed([1, 2, 3])
    require_batches(runner, model, tolerance=1e-4)
    monkeypatch.setattr(left_padding, "LARGEST_LOGITS", 4 * 3 * model.config.vocab)
    require_batches(runner, model, tolerance=1e-4)
    require_batches(runner, model, tolerance=1e-4, lengths=(1, 5))


def test_generation_stops(folder):
    runner = OpenVinoRunner(folder, threads=2, overrides=EXACT)
    ids = random_ids(1, 5, 101)[0].tolist()
    free = runner.generate(ids, 6, frozenset())
    assert len(free) == 6
    assert runner.generate(ids, 6, frozenset({free[2]})) == free[: free.index(free[2])]
