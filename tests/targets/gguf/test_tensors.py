"""Names, types and row orders of tensors, and the factors of llama3's rotary embedding."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures.base import Rope
from convert.errors import UnsupportedConfigError
from convert.gguf_names import hugging_face_name
from convert.weights import ArrayWeight
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
    names = {hugging_face_name(family.architecture, t.name): t.weight.name for t in stored}
    assert names == {name: name for name in model.weights}
    assert all(t.encoding.name == "f32" for t in stored)


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
