"""A GGUF in llama.cpp gives the logits of transformers; its bytes are known and repeatable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convert.checkpoint import open_checkpoint
from convert.errors import UnsupportedTokenizerError, UsageError
from targets.base import LayoutRequest
from targets.gguf.file_names import FILE
from targets.gguf.run import GgufRunner
from targets.gguf.target import GgufTarget
from tests.support.models import SmallModel
from tests.targets.gguf.checkpoints import checkpoint, convert, ids, request

TINY_BLOOM = Path(__file__).resolve().parents[3] / "golden" / "models" / "tiny-bloom"
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
    "mixtral": ("mixtral", {"head_dim": 12}),
    "mixtral-8": ("mixtral", {"num_local_experts": 8, "num_experts_per_tok": 3}),
    "qwen2": ("qwen2", {}),
    "qwen2-moe": ("qwen2_moe", {}),
    "qwen2-tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3-moe": ("qwen3_moe", {"head_dim": 16}),
}


BLOOMS: dict[str, dict[str, Any]] = {
    "4-heads-untied": {"num_attention_heads": 4, "tie_word_embeddings": False},
    "6-heads": {},
    "7-heads-1-layer": {"num_attention_heads": 7, "hidden_size": 56, "num_hidden_layers": 1},
    "12-heads": {"num_attention_heads": 12},
}


def difference(model: SmallModel, path: Path, tokens: list[int], prefill: int) -> float:
    """Largest difference of logits in units of their standard deviation."""
    expected = model.logits(np.array([tokens]))[0]
    with GgufRunner(path, threads=1, exact_cache=True) as runner:
        given = runner.logits(tokens, prefill)
    return float(np.abs(given - expected).max() / expected.std())


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    model_type, overrides = MODELS[name]
    model = checkpoint(tmp_path / "in", model_type, **overrides)
    convert(model, tmp_path / "in", tmp_path / "out")
    assert difference(model, tmp_path / "out" / FILE, ids(48), prefill=40) < CLOSE


class RoundedGelu(torch.nn.Module):
    """GELU as ggml looks it up: by the float16 of its argument, in a table of float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
        return torch.where(x.abs() < 10, y, x.clamp(min=0))


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("name", BLOOMS)
def test_logits_of_bloom_are_those_of_transformers_but_for_a_rounded_gelu(
    name: str, tmp_path: Path
) -> None:
    model = checkpoint(tmp_path / "in", "bloom", **BLOOMS[name])
    convert(model, tmp_path / "in", tmp_path / "out")
    tokens = ids(48)
    with GgufRunner(tmp_path / "out" / FILE, threads=1, exact_cache=True) as runner:
        found = runner.logits(tokens, 40)
    assert apart(found, model, tokens).max() < 5e-3
    for block in model.torch_model.transformer.h:
        block.mlp.gelu_impl = RoundedGelu()
    # Where both sides round to the same float16, nothing is left; some rows have a neighbour.
    assert np.median(apart(found, model, tokens)) < CLOSE


def apart(found: NDArray[np.float32], model: SmallModel, tokens: list[int]) -> NDArray[np.float32]:
    """Largest difference from the original's logits at each token, in their deviations."""
    expected = model.logits(np.array([tokens]))[0]
    rows: NDArray[np.float32] = np.abs(found - expected).max(-1) / expected.std()
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["f32", "bf16"])
def test_a_trained_bloom_goes_on_as_in_transformers(encoding: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    opened = open_checkpoint(str(TINY_BLOOM))
    model = SmallModel(
        AutoModelForCausalLM.from_pretrained(TINY_BLOOM, dtype=torch.float32),
        dict(opened.config),
        dict(opened.weights),
    )
    convert(model, TINY_BLOOM, tmp_path, encoding)
    text = (TINY_BLOOM / "prompts.txt").read_text(encoding="utf-8")
    tokens = AutoTokenizer.from_pretrained(TINY_BLOOM)(text)["input_ids"][:12]
    expected = model.torch_model.generate(
        torch.tensor([tokens]), max_new_tokens=40, do_sample=False, eos_token_id=None
    )
    with GgufRunner(tmp_path / FILE, threads=1) as runner:
        assert runner.generate(tokens, 40, frozenset()) == expected[0, len(tokens) :].tolist()


@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("encoding", GgufTarget.encodings)
def test_sizes_and_weights_are_what_was_announced(encoding: str, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama", hidden_size=96, intermediate_size=64)
    layout = convert(model, tmp_path / "in", tmp_path / "out", encoding)
    assert (tmp_path / "out" / FILE).stat().st_size == layout.files[0].size
    graph = request(model, tmp_path / "in", encoding).model.graph
    stored = dict(GgufTarget().stored_weights(tmp_path / "out"))
    assert stored.keys() == graph.initializers.keys() & model.weights.keys()
    for name, values in stored.items():
        expected = graph.initializers[name].const_value.numpy()
        np.testing.assert_array_equal(values, expected, err_msg=name)


@pytest.mark.usefixtures("proven_once")
def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "qwen3", head_dim=16)
    for out in ("one", "two"):
        convert(model, tmp_path / "in", tmp_path / out, "q8_0")
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()


@pytest.mark.usefixtures("proven_once")
def test_tensors_are_named_and_typed_as_llama_cpp_wants_them(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama", hidden_size=96, tie_word_embeddings=True)
    convert(model, tmp_path / "in", tmp_path / "out", "q4_0")
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "out" / FILE).tensors}
    assert "output.weight" not in tensors
    assert tensors["token_embd.weight"].tensor_type.name == "Q8_0"
    assert tensors["blk.1.attn_q.weight"].tensor_type.name == "Q4_0"
    assert tensors["blk.1.attn_norm.weight"].tensor_type.name == "F32"
    assert all(tensor.data_offset % 32 == 0 for tensor in tensors.values())


@pytest.mark.usefixtures("proven_once")
def test_a_sliding_window_ends_the_context(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "mistral", sliding_window=32)
    layout = convert(model, tmp_path / "in", tmp_path / "out")
    assert any("32 tokens" in note for note in layout.notes)
    fields = gguf.GGUFReader(tmp_path / "out" / FILE).fields
    assert fields["llama.context_length"].contents() == 32
    assert difference(model, tmp_path / "out" / FILE, ids(32), prefill=20) < CLOSE


def test_no_tokenizer_is_refused(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    asked = request(model, tmp_path / "in")
    with pytest.raises(UnsupportedTokenizerError, match="cannot do without"):
        GgufTarget().lay_out(LayoutRequest(asked.source, asked.model, tokenizer=False))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UsageError, match="'split'"):
        GgufTarget().passes({"split": 2})
    assert GgufTarget().passes({"split_max_size": "2G"}) == ()


@pytest.mark.usefixtures("proven_once")
def test_shards_give_the_logits_of_the_whole(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    convert(model, tmp_path / "in", tmp_path / "whole")
    convert(model, tmp_path / "in", tmp_path / "split", options={"split_max_size": 50_000})
    found = []
    for folder in (tmp_path / "whole", tmp_path / "split"):
        with GgufTarget().runner(folder, threads=1) as runner:
            found.append(runner.logits(ids(30), 20))
    np.testing.assert_array_equal(*found)
    whole, split = (dict(GgufTarget().stored_weights(tmp_path / f)) for f in ("whole", "split"))
    assert whole.keys() == split.keys() == model.weights.keys()
    assert all(np.array_equal(values, split[name]) for name, values in whole.items())
    assert not (tmp_path / "split" / FILE).exists()
