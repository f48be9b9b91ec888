"""Names, types and row orders of tensors, and the factors of llama3's rotary embedding."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures.base import Rope
from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.gguf_names import expert_pattern, hugging_face_name
from convert.graph import parameters
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.gguf.families import FAMILIES, family_of
from targets.gguf.tensors import llama3_factors, stored_tensors
from tests.support.models import small_model

LLAMA3 = Rope(
    theta=500000.0,
    kind="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_positions=8192,
)


def test_llama3_factors_are_those_of_transformers() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(
        head_dim=128,
        max_position_embeddings=131072,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 500000.0 ** -(np.arange(0, 128, 2) / 128)
    factors = llama3_factors(LLAMA3, 128)
    np.testing.assert_allclose(plain / factors, expected.numpy(), rtol=1e-6)
    assert factors.min() == 1.0
    assert factors.max() == 8.0


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_parameter_has_a_name_that_leads_back(model_type: str) -> None:
    model = small_model(model_type)
    family = family_of(model.config)
    stored = stored_tensors(model.graph(), model.config, family)
    names = {}
    for tensor in stored:
        pattern = expert_pattern(family.architecture, tensor.name)
        if pattern is None:
            names[hugging_face_name(family.architecture, tensor.name)] = tensor.weight.name
        for number, (weight, _) in enumerate(tensor.stacked):
            names[str(pattern).format(number)] = weight.name
    assert names == {name: name for name in model.weights}
    assert all(t.encoding.name == "f32" for t in stored)


def test_experts_of_a_layer_share_a_tensor_and_its_type() -> None:
    model = small_model("mixtral", intermediate_size=64)
    graph, family = model.graph(), family_of(model.config)
    scope = "model.layers.1.block_sparse_moe.experts"
    for number in range(5):
        parameters(graph)[f"{scope}.{number}.w2.weight"].encoding = encoding("q8_0")
    stored = {each.name: each for each in stored_tensors(graph, model.config, family)}
    down = stored["blk.1.ffn_down_exps.weight"]
    assert down.shape == (5, 48, 64)
    assert down.nbytes == 5 * encoding("q8_0").nbytes(48, 64)
    places = [job.placements[0].offset for job in down.jobs("model.gguf", 96)]
    assert places == [96 + number * down.nbytes // 5 for number in range(5)]
    assert [job.weight.name for job in down.jobs("", 0)][4] == f"{scope}.4.w2.weight"
    parameters(graph)[f"{scope}.3.w2.weight"].encoding = encoding("q4_0")
    with pytest.raises(UnsupportedEncodingError, match=r"ffn_down_exps") as caught:
        stored_tensors(graph, model.config, family)
    assert f"q8_0 for {scope}.3.w2.weight" in str(caught.value)


def test_a_gate_of_one_row_is_a_vector() -> None:
    model = small_model("qwen2_moe")
    stored = stored_tensors(model.graph(), model.config, family_of(model.config))
    shapes = {each.name: each.shape for each in stored}
    assert shapes["blk.0.ffn_gate_inp_shexp.weight"] == (48,)
    assert shapes["blk.0.ffn_gate_inp.weight"] == (6, 48)


@pytest.mark.parametrize(
    ("model_type", "modules"),
    [("llama", {"q_proj", "k_proj"}), ("qwen2", set()), ("bloom", {"query_key_value"})],
)
def test_weights_and_biases_of_the_same_modules_are_reordered(model_type, modules) -> None:
    biases = {"attention_bias": True} if model_type == "llama" else {}
    model = small_model(model_type, **biases)
    stored = stored_tensors(model.graph(), model.config, FAMILIES[model_type])
    reordered = {t.weight.name.split(".", 3)[-1] for t in stored if t.row_order is not None}
    kinds = ("weight", "bias")
    scope = "self_attention" if model_type == "bloom" else "self_attn"
    assert reordered == {f"{scope}.{module}.{kind}" for module in modules for kind in kinds}


def test_a_parameter_without_a_name_is_refused() -> None:
    model = small_model("llama")
    graph = model.graph()
    parameter = graph.graph.initializers["model.norm.weight"].const_value
    parameter.weight = ArrayWeight("model.layers.0.adapter.weight", np.zeros((2, 2), np.float32))
    with pytest.raises(UnsupportedConfigError, match=r"adapter\.weight"):
        stored_tensors(graph, model.config, FAMILIES["llama"])
