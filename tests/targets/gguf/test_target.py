"""A GGUF in llama.cpp gives the logits of transformers; its bytes are known and repeatable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from convert.errors import UnsupportedTokenizerError, UsageError
from targets.base import LayoutRequest
from targets.gguf.run import GgufRunner
from targets.gguf.target import FILE, GgufTarget
from tests.support.models import SmallModel
from tests.targets.gguf.checkpoints import VOCABULARY, checkpoint, convert, ids, request

CLOSE = 5e-5
"""Of the logits' standard deviation; 4e-6 to 1e-5 is what float32 rounding makes of it."""

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", {"tie_word_embeddings": True}),
    "llama-multi-head": ("llama", {"num_key_value_heads": 6}),
    "llama-one-kv-head": ("llama", {"num_key_value_heads": 1}),
    "llama-head-dim": ("llama", {"head_dim": 20}),
    "llama-biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("llama", {"rope_parameters": LLAMA3}),
    "llama-linear": ("llama", {"rope_parameters": LINEAR}),
    "llama-yarn": ("llama", {"rope_parameters": YARN}),
    "llama-yarn-factor": ("llama", {"rope_parameters": {**YARN, "attention_factor": 1.3}}),
    "mistral": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen2-tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
}


def difference(model: SmallModel, path: Path, tokens: list[int], prefill: int) -> float:
    """Largest difference of logits in units of their standard deviation."""
    expected = model.logits(np.array([tokens]))[0]
    with GgufRunner(path, threads=1, exact_cache=True) as runner:
        given = runner.logits(tokens, prefill)
    return float(np.abs(given - expected).max() / expected.std())


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    model_type, overrides = MODELS[name]
    model = checkpoint(tmp_path / "in", model_type, **overrides)
    convert(model, tmp_path / "in", tmp_path / "out")
    assert difference(model, tmp_path / "out" / FILE, ids(48), prefill=40) < CLOSE
