"""Released configs: what a small one keeps of them, their table, and a sample of it made again."""

from __future__ import annotations

import pytest

from bench.architectures.findings import PARITY, Finding
from bench.architectures.release_trial import PLANNED, planned, try_release
from bench.architectures.released_page import released_page
from bench.architectures.releases import Release, releases, small_release


def test_every_release_has_a_source_and_a_type():
    found = releases()
    assert len(found) >= 50
    for name, each in found.items():
        assert name == each.model and "/" in name and each.source
        assert isinstance(each.config["model_type"], str), name
        assert isinstance(each.config["architectures"], list), name


def test_sizes_become_small_and_all_else_is_as_released():
    config = {
        "model_type": "some",
        "hidden_size": 3072,
        "num_attention_heads": 24,
        "num_key_value_heads": 24,
        "num_hidden_layers": 32,
        "max_position_embeddings": 131072,
        "quantization_config": {"quant_method": "fp8"},
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0] * 48,
            "long_factor": list(range(48)),
            "original_max_position_embeddings": 4096,
        },
        "partial_rotary_factor": 0.75,
    }
    assert small_release(config) == {
        "model_type": "some",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "num_hidden_layers": 2,
        "max_position_embeddings": 131072,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0] * 6,
            "long_factor": [0, 8, 16, 24, 32, 40],
            "original_max_position_embeddings": 4096,
        },
        "partial_rotary_factor": 0.75,
    }


def test_groups_of_queries_and_parts_of_a_config_stay_what_they_were():
    config = {
        "text_config": {
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        }
    }
    assert small_release(config)["text_config"] == {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    }


def test_the_page_has_a_row_for_each_model():
    release = Release("a/b", "a book", {"model_type": "some"})
    plans = {PLANNED[0]: "1.00 B weights, 2 s", PLANNED[1]: "refused: a<b|c"}
    good = Finding("a/b", "B", False, True, [2, 2], [0, 0], 1e-6, 2e-6, 1e-3, plans=plans)
    page = released_page([good], {"a/b": release}, {"transformers": "5.0", "torch": "2"})
    row = "| a/b | `some` | 1.00 B weights, 2 s | refused: a&lt;b\\|c | 1e-06 | 2e-06 | 2/2, - |"
    assert row in page and "Of 1 models, 1 are planned" in page and "small ones of 1 agree" in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "1.10 B weights"),
        ("Qwen/Qwen3-32B-FP8", "quantized already"),
        ("openai/gpt-oss-20b", "quantized already"),
        ("openbmb/MiniCPM-2B-sft-bf16", "MiniCPMForCausalLM"),
    ],
)
def test_a_release_is_planned_or_refused_by_name(name, said):
    assert said in planned(releases()[name], "gguf:q4_k_m")


SAMPLE = (
    "google/gemma-4-26B-A4B",
    "microsoft/Phi-4-mini-instruct",
    "mistralai/Devstral-Small-2-24B-Instruct-2512",
    "mosaicml/mpt-7b",
    "tencent/HunyuanImage-2.1 (reprompt)",
)
"""Old and new keys, rotations scaled in several ways, code of their own, and a tower for images."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_small_release_agrees_with_transformers(name, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.architectures.release_trial.PLANNED", ())
    found: list[Finding] = []
    try_release(name, tmp_path, found.append)
    assert not found[-1].reasons
    assert found[-1].onnxruntime is not None and found[-1].onnxruntime <= PARITY
    assert found[-1].openvino is not None and found[-1].openvino <= PARITY
    assert found[-1].int8_kl is not None and found[-1].int8_kl < 0.1
