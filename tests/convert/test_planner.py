"""One graph serves the first artifact; every artifact gets its own encodings."""

from __future__ import annotations

import pytest

from convert.errors import UnsupportedConfigError
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.preparation import resolve_encoding
from convert.recipe import Artifact, Recipe
from tests.support.raw_configs import small_raw_config


def test_artifacts_are_planned_independently_of_each_other():
    artifacts = [
        resolve_encoding(Artifact(format=name, encoding=stored))
        for name, stored in (("gguf", "q8_0"), ("openvino", "int8"), ("gguf", "q8_0"))
    ]
    recipe = Recipe(name="r", artifacts=(artifacts[0],))
    planner = Planner(small_raw_config("llama"), recipe)
    first, other, again = (planner.planned(one, {}, Asked()) for one in artifacts)
    assert first == again
    assert {part.encoding for part in other.weights} == {"int8", "f32"}
    assert planner.source_bytes == 2 * planner.parameters


def test_a_quantized_checkpoint_is_refused_as_a_run_refuses_it():
    raw = {**small_raw_config("llama"), "quantization_config": {"quant_method": "fp8"}}
    with pytest.raises(UnsupportedConfigError, match="quantized already"):
        Planner(raw, Recipe(name="x", artifacts=(Artifact(format="onnx", encoding="f32"),)))


def test_weights_are_cut_into_chunks_of_8_mib():
    raw = small_raw_config("llama", vocab_size=60_000, hidden_size=96)
    planner = Planner(raw, Recipe(name="r", artifacts=(Artifact(format="gguf"),)))
    # 11.5 MB each of embedding and head; a norm and 2 layers of 9 weights are small.
    assert planner.chunks == 2 * 2 + 1 + 2 * 9
