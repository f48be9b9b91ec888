"""Weights read back by the gguf package are the checkpoint's: names, order of rows, values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from convert.import_gguf import import_gguf
from convert.weights import read_float32
from targets.gguf.file_names import FILE
from targets.gguf.stored import stored_weights
from tests.targets.gguf.checkpoints import checkpoint, convert

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize(
    ("model_type", "overrides"),
    [
        ("llama", {"rope_parameters": LLAMA3}),
        ("qwen2", {}),
        ("bloom", {}),
        ("mixtral", {}),
        ("qwen2_moe", {}),
        ("qwen3_moe", {}),
    ],
)
def test_float32_survives(model_type: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", model_type, **overrides)
    convert(model, tmp_path / "in", tmp_path / "out")
    stored = dict(stored_weights(tmp_path / "out" / FILE))
    assert stored.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(stored[name], read_float32(weight), err_msg=name)


@pytest.mark.parametrize("chunk", [1 << 22, 48 * 11])
@pytest.mark.usefixtures("proven_once")
def test_a_bloom_comes_back_from_its_gguf(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = checkpoint(tmp_path / "in", "bloom", num_attention_heads=4, num_hidden_layers=1)
    convert(model, tmp_path / "in", tmp_path / "made")
    monkeypatch.setattr("convert.import_gguf._CHUNK_ELEMENTS", chunk)
    import_gguf(tmp_path / "made" / FILE, tmp_path / "out", "f32")
    back = open_checkpoint(str(tmp_path / "out"))
    assert architecture_of(back.config).parse(back.config) == model.config
    assert back.weights.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(read_float32(back.weights[name]), read_float32(weight))
