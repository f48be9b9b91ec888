"""Only groups that the runtime multiplies correctly get into an IR."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from passes.encodings import encoding
from targets.openvino.groups import use_safe_groups
from targets.openvino.run import EXACT, OpenVinoRunner
from tests.support.models import random_ids, small_model
from tests.targets.openvino.artifacts import FUSING, convert, encode_as
from tests.targets.openvino.layers import weight_types

ODD = {**FUSING, "hidden_size": 576, "intermediate_size": 768, "num_hidden_layers": 1}


def quantized(name, **sizes):
    graph = small_model("llama", **{**ODD, **sizes}).graph()
    encode_as(name)(graph)
    return graph


def test_a_fallback_gets_a_power_of_two():
    graph = quantized("int4")
    use_safe_groups(graph)
    q_proj = parameters(graph)["model.layers.0.self_attn.q_proj.weight"]
    assert q_proj.encoding.name == "int4_g64"
    assert q_proj.fallback is not None


def test_a_group_that_was_asked_for_is_refused():
    with pytest.raises(UnsupportedEncodingError, match="q_proj"):
        use_safe_groups(quantized("int4_g96"))


def test_other_encodings_are_left_alone():
    graph = quantized("int8")
    before = {name: item.encoding for name, item in parameters(graph).items()}
    use_safe_groups(graph)
    assert {name: item.encoding for name, item in parameters(graph).items()} == before


@pytest.mark.parametrize("name", ["int4", "int4_sym"])
@pytest.mark.parametrize("hint", ["f32", "bf16"])
def test_products_are_right_token_by_token(name, hint, tmp_path):
    model = small_model("llama", **ODD)
    folder = convert(model, tmp_path, quantize=encode_as(name))
    runner = OpenVinoRunner(
        folder, threads=2, overrides={**EXACT, "INFERENCE_PRECISION_HINT": hint}
    )
    assert weight_types(runner.compiled) == {encoding(name).planes(128)[0].dtype: 7, "i8": 1}
    ids = random_ids(1, 8, model.config.vocab)[0].tolist()
    at_once, stepwise = runner.logits(ids, 8), runner.logits(ids, 1)
    # Rounding to bfloat16 costs 0.04; the wrong kernels, those for single tokens, over 1.
    difference = np.sqrt(np.square(stepwise - at_once).mean()) / at_once.std()
    assert difference < (1e-4 if hint == "f32" else 0.1)
    assert np.isfinite(at_once).all()
