"""OpenVINO's own reader finds the weights that were stored, under their names."""

from __future__ import annotations

import numpy as np
import pytest

from convert.weights import read_float32
from passes.encodings import encoding
from targets.openvino.target import OpenVinoTarget
from tests.support.models import small_model
from tests.targets.openvino.artifacts import convert, encode_as

MATRICES = (
    "f32",
    "f16",
    "bf16",
    "int8",
    "int8_asym",
    "int4_g16",
    "int4_sym_g16",
    "nf4_g16",
    "nf4_dq_g16",
)


@pytest.mark.parametrize("name", MATRICES)
def test_stored_weights_are_the_decoded_ones(name, tmp_path):
    model = small_model("qwen2", hidden_size=48, intermediate_size=80)
    convert(model, tmp_path, quantize=encode_as(name, rest=name))
    found = dict(OpenVinoTarget().stored_weights(tmp_path))
    assert found.keys() == model.weights.keys()
    for key, weight in model.weights.items():
        stored = encoding(name if len(weight.shape) == 2 else "f32")
        rows = weight.read_rows(0, weight.rows)
        expected = stored.decode(stored.encode(rows), weight.rows, weight.columns)
        assert found[key].shape == weight.shape
        assert np.array_equal(found[key], expected.reshape(weight.shape)), key


def test_unquantized_weights_keep_every_bit(tmp_path):
    model = small_model("llama", tie_word_embeddings=True)
    convert(model, tmp_path)
    found = dict(OpenVinoTarget().stored_weights(tmp_path))
    assert "lm_head.weight" not in found
    for key, weight in model.weights.items():
        assert np.array_equal(found[key], read_float32(weight))
