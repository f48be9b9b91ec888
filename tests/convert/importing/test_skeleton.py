"""Configs are read as transformers reads them."""

import math

import pytest

from convert.errors import BrokenInputError, UnsupportedArchitectureError
from convert.importing.skeleton import class_name, config_object, skeleton


def test_infinity_is_a_number():
    raw = {"model_type": "mamba2", "time_step_limit": [0.0, {"__float__": "Infinity"}]}
    assert list(config_object(raw).time_step_limit) == [0.0, math.inf]


def test_what_is_no_number_is_refused():
    with pytest.raises(BrokenInputError, match="does not take this config"):
        config_object({"model_type": "mamba2", "time_step_limit": {"__float__": "much"}})


@pytest.mark.parametrize(
    ("kind", "stated", "name"),
    [
        ("gemma2", ["Gemma2ForCausalLM"], "Gemma2ForCausalLM"),
        ("mllama_text_model", ["MllamaForCausalLM"], "MllamaForCausalLM"),
        ("mllama_text_model", ["Gemma2ForCausalLM"], None),
        ("mllama_text_model", ["AutoModel"], None),
        ("mllama_text_model", None, None),
        ("mllama", ["MllamaForConditionalGeneration"], "MllamaForConditionalGeneration"),
        ("mllama", ["MllamaForCausalLM"], "MllamaForCausalLM"),
        ("mistral3", ["Mistral3ForConditionalGeneration"], "Mistral3ForConditionalGeneration"),
        ("mistral3", ["Mistral3Model"], None),
        ("mistral3", None, None),
        ("diffusion_gemma", ["DiffusionGemmaForBlockDiffusion"], None),
    ],
)
def test_a_class_may_be_made_from_a_part_of_a_config(kind, stated, name):
    assert class_name({"model_type": kind, "architectures": stated}) == name


@pytest.mark.slow
def test_recurrent_models_are_refused_before_anything_is_traced():
    with pytest.raises(UnsupportedArchitectureError, match="a state of its own"):
        skeleton({"model_type": "mamba", "architectures": ["MambaForCausalLM"]})
