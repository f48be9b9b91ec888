"""The training loop learns, repeats itself exactly, and saves what transformers loads."""

import json
from itertools import islice

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from golden.training import corpus
from golden.training.models import small_model
from golden.training.tokenizer import DOCUMENT, train_tokenizer
from golden.training.train import (
    Plan,
    batches,
    documents,
    fit,
    learning_rate_at,
    save,
    token_stream,
)

PLAN = Plan(steps=10, tokens_per_step=64, sequence=32, warmup_steps=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus.text_of(1, 10_000), vocabulary=300, longest=32)


@pytest.fixture(scope="module")
def stream(tokenizer):
    return token_stream(tokenizer, corpus.text_of(1, 10_000), DOCUMENT)


def minimal():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def losses_of(model, stream):
    losses = {}
    fit(model, batches(*stream, PLAN), PLAN, losses.__setitem__)
    return losses


def test_the_loss_falls_and_training_repeats_itself(stream):
    first = losses_of(minimal(), stream)
    assert sorted(first) == list(range(1, PLAN.steps + 1))
    assert first[PLAN.steps] < first[1] - 0.1
    assert losses_of(minimal(), stream) == first


def test_a_stream_holds_each_document_behind_a_separator(tokenizer):
    stream, separators = token_stream(tokenizer, ["a b", "c"], DOCUMENT)
    first, second = tokenizer(["a b", "c"])["input_ids"]
    assert stream.tolist() == [0, *first, 0, *second]
    assert separators.tolist() == [0, 1 + len(first)]


def test_windows_begin_at_a_document(stream):
    tokens, separators = stream
    text = tokens.tolist()
    beginnings = {tuple(text[start + skip :][:16]) for start in separators for skip in (0, 1)}
    windows = list(batches(tokens, separators, PLAN))
    assert [window.shape for window in windows] == [(4, 16)] * 8 + [(2, 32)] * 2
    assert all(tuple(row[:16].tolist()) in beginnings for window in windows for row in window)


def test_another_seed_draws_other_windows(stream):
    other = Plan(**{**vars(PLAN), "seed": 1})
    [[first], [second]] = (list(islice(batches(*stream, plan), 1)) for plan in (PLAN, other))
    assert not torch.equal(first, second)


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate_at(step, PLAN) for step in range(PLAN.steps)]
    assert rates[:3] == pytest.approx([5e-3, 1e-2, 1e-2])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert learning_rate_at(PLAN.steps, PLAN) == pytest.approx(1e-4)


def test_a_saved_checkpoint_loads_and_names_no_library_version(tmp_path, tokenizer):
    model = minimal()
    save(model, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == torch.bfloat16
    assert model.dtype == torch.float32
    expected = model.model.embed_tokens.weight.to(torch.bfloat16)
    assert torch.equal(loaded.model.embed_tokens.weight, expected)
    assert AutoTokenizer.from_pretrained(tmp_path)("a b") == tokenizer("a b")
    for path in tmp_path.glob("*.json"):
        assert "transformers_version" not in path.read_text()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["eos_token"] == corpus.TURN_END


def test_two_savings_are_the_same_bytes(tmp_path, tokenizer):
    model = minimal()
    for name in ("first", "second"):
        save(model, tokenizer, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert "model.safetensors" in files
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_yuan_keeps_its_tokenizer_as_sentencepiece_wrote_it(tmp_path):
    kind = small_model("tiny-yuan2")
    texts = documents(kind, corpus.TRAINING_SEED, 100_000)
    assert any("<sep>" in text for text in texts)
    assert not any(corpus.TURN_START in text for text in texts)
    tokenizer = kind.train_tokenizer(texts, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save(kind.build(), tokenizer, tmp_path)
    assert before.items() <= {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()
    assert not (tmp_path / "tokenizer.json").exists()
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["eod_token"] == tokenizer.eos_token_id
    assert config["auto_map"]["AutoModelForCausalLM"] == "yuan_hf_model.YuanForCausalLM"


def test_a_bloom_is_stored_as_the_inner_model_that_transformers_still_finds(tmp_path):
    kind = small_model("tiny-bloom")
    texts = documents(kind, corpus.TRAINING_SEED, 20_000)
    assert not any(corpus.TURN_START in text for text in texts)
    model = kind.build()
    save(model, kind.train_tokenizer(texts, tmp_path), tmp_path, kind.stored_name)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert {"word_embeddings.weight", "h.0.self_attention.dense.bias", "ln_f.bias"} < names
    assert "lm_head.weight" not in names
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded).__name__ == "BloomForCausalLM"
    for name, weight in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), weight.to(torch.bfloat16))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["BloomForCausalLM"]
    assert (config["n_head"], config["eos_token_id"]) == (6, 2)
