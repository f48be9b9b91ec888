"""Tensors of several files, with scales wherever they lie."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from safetensors.numpy import save_file

from targets.shards import Shards


def test_codes_are_scaled_and_floats_widened(tmp_path):
    codes = np.array([[1, -2], [3, 4]], np.int8)
    save_file({"a.weight": codes, "b": np.float16([0.5])}, tmp_path / "model-1.safetensors")
    save_file({"a.weight_scale": np.float32([[2], [10]])}, tmp_path / "model-2.safetensors")
    with ExitStack() as opened:
        shards = Shards(tmp_path, opened)
        assert set(shards.names) == {"a.weight", "b", "a.weight_scale"}
        assert shards.decoded("a.weight").tolist() == [[2, -4], [30, 40]]
        assert shards.decoded("b").dtype == np.float32
        assert shards.tensor("a.weight").dtype == np.int8
