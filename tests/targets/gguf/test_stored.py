"""Weights read back by the gguf package are the checkpoint's: names, order of rows, values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
@pytest.mark.parametrize("model_type", ["llama", "qwen2"])
def test_float32_survives(model_type: str, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", model_type, rope_parameters=LLAMA3)
    convert(model, tmp_path / "in", tmp_path / "out")
    stored = dict(stored_weights(tmp_path / "out" / FILE))
    assert stored.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(stored[name], read_float32(weight), err_msg=name)
