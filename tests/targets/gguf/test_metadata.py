"""General metadata from the label and the model card; sizes from the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from targets.base import Source
from targets.gguf.families import FAMILIES
from targets.gguf.header import new_writer
from targets.gguf.metadata import add_general, add_hyperparameters, context_length
from targets.gguf.tensors import stored_tensors
from tests.support.models import small_model

MODEL = small_model("llama")
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\n---\n# A model\n"


def general(folder: Path, label: str = "acme/Tiny-Llama-1B@0123abc") -> dict[str, Any]:
    tensors = stored_tensors(MODEL.graph(), MODEL.config, FAMILIES["llama"])
    writer = new_writer("llama")
    source = Source(label, folder, MODEL.raw_config, MODEL.config)
    add_general(writer, source, tensors, {"temperature": 0.6, "top_p": 0.9})
    return {key: value.value for key, value in writer.kv_data[0].items()}


def hyperparameters(config: Any, family: str = "llama") -> dict[str, Any]:
    writer = new_writer(family)
    add_hyperparameters(writer, config, FAMILIES[family])
    return {key: value.value for key, value in writer.kv_data[0].items()}


def test_name_licence_and_sampling(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    keys = general(tmp_path)
    assert keys["general.name"] == "Tiny Llama 1B"
    assert keys["general.license"] == "apache-2.0"
    assert keys["general.languages"] == ["en"]
    assert keys["general.sampling.temp"] == 0.6
    assert keys["general.file_type"] == 0


def test_neither_folder_nor_commit_shows(tmp_path: Path) -> None:
    text = repr(general(tmp_path))
    assert tmp_path.name not in text
    assert "0123abc" not in text


def test_sizes() -> None:
    keys = hyperparameters(MODEL.config)
    assert keys["llama.block_count"] == 2
    assert keys["llama.attention.head_count_kv"] == 2
    assert keys["llama.attention.key_length"] == 8
    assert keys["llama.context_length"] == 256
    assert "llama.attention.sliding_window" not in keys


def test_the_context_ends_at_the_smallest_window() -> None:
    config = replace(MODEL.config, windows=(None, 64))
    assert context_length(config) == 64
    assert hyperparameters(config)["llama.attention.sliding_window"] == 64
    assert context_length(replace(MODEL.config, windows=(512, 512))) == 256


def test_nothing_is_said_of_rotation_where_there_is_none() -> None:
    model = small_model("bloom", layer_norm_epsilon=1e-4)
    keys = hyperparameters(model.config, "bloom")
    assert keys["bloom.attention.layer_norm_epsilon"] == 1e-4
    assert keys["bloom.feed_forward_length"] == 4 * model.config.hidden
    assert keys["bloom.context_length"] == 2048
    assert not [key for key in keys if "rope" in key or "rms" in key]


def test_how_many_experts_there_are_and_how_wide_they_are(tmp_path: Path) -> None:
    model = small_model("qwen2_moe")
    writer = new_writer("qwen2moe")
    add_hyperparameters(writer, model.config, FAMILIES["qwen2_moe"])
    tensors = stored_tensors(model.graph(), model.config, FAMILIES["qwen2_moe"])
    source = Source("tiny", tmp_path, model.raw_config, model.config)
    add_general(writer, source, tensors, {})
    keys = {key: value.value for key, value in writer.kv_data[0].items()}
    assert keys["qwen2moe.expert_count"] == 6
    assert keys["qwen2moe.expert_used_count"] == 2
    assert keys["qwen2moe.expert_feed_forward_length"] == 28
    assert keys["qwen2moe.expert_shared_feed_forward_length"] == 36
    assert keys["general.size_label"].startswith("6x")
