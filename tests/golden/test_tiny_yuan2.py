"""The small Yuan of the repository: small, peaked, with biases, and sensitive to its own traps."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from convert.checkpoint import open_checkpoint
from convert.preparation import open_source
from golden import reference
from golden.metrics import compare_logits, summarize
from golden.texts import prompts
from golden.training import corpus
from golden.training.evaluate import quality
from golden.training.models import small_model
from golden.training.train import documents

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "models" / "tiny-yuan2"
PROMPTS = FOLDER / "prompts.txt"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER, trust_remote_code=False)


@pytest.fixture(scope="module")
def model():
    return reference.load(FOLDER, 1).model


def mean_kld(model, altered, tokenizer):
    results = []
    for prompt in prompts(PROMPTS):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        with torch.inference_mode():
            p, q = (one(ids).logits[0].numpy() for one in (model, altered))
        results.append(compare_logits(p, q, ids[0].tolist()))
    return summarize(results).mean_kld


def continued(model, tokenizer, text, count):
    ids = tokenizer(text)["input_ids"]
    start = len(ids)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return tokenizer.decode(ids[start:])


def test_it_takes_at_most_3_mb():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3_000_000


def test_it_is_a_checkpoint_as_the_hub_has_them():
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["auto_map"]["AutoModelForCausalLM"].endswith(".YuanForCausalLM")
    assert (FOLDER / "tokenizer.model").is_file()
    assert not (FOLDER / "tokenizer.json").exists()
    source = open_source(open_checkpoint(str(FOLDER)))
    assert source.config.localized_filter


def test_no_bias_is_zero(model):
    biases = [one for name, one in model.named_parameters() if name.endswith(".bias")]
    assert len(biases) == 8
    assert all((bias.abs() > 1e-4).float().mean() > 0.9 for bias in biases)


def test_unseen_text_is_predicted_with_a_peaked_distribution(model, tokenizer):
    texts = documents(small_model("tiny-yuan2"), corpus.HELD_OUT_SEED, 10_000)
    figures = quality(model, tokenizer, texts)
    assert figures.perplexity < 2.3
    assert figures.top1_mass > 0.7
    assert figures.accuracy > 0.7


def test_it_answers(model, tokenizer):
    question = "What is the capital of Italy?<sep>"
    assert continued(model, tokenizer, question, 16).startswith("The capital of Italy is Rome.")


def test_the_prompts_are_no_text_of_the_training():
    training = set(documents(small_model("tiny-yuan2"), corpus.TRAINING_SEED, 1_000_000))
    assert not training & set(prompts(PROMPTS))


def swapped_activation(model):
    for layer in model.model.layers:
        mlp = layer.mlp
        mlp.gate_proj, mlp.up_proj = mlp.up_proj, mlp.gate_proj


def plain_heads(model):
    """Queries and keys as if they were not cut together."""
    for layer in model.model.layers:
        q, k = layer.self_attn.q_proj.weight.data, layer.self_attn.k_proj.weight.data
        rows = torch.cat([q, k]).reshape(4, 2, 32, -1)
        layer.self_attn.q_proj.weight.data = rows[:, 0].reshape(q.shape)
        layer.self_attn.k_proj.weight.data = rows[:, 1].reshape(k.shape)


def swapped_taps(model):
    for layer in model.model.layers:
        for conv in (layer.self_attn.lf_gate.conv1, layer.self_attn.lf_gate.conv2):
            conv.weight.data = conv.weight.data.flip(2)


def no_biases(model):
    for name, one in model.named_parameters():
        if name.endswith(".bias"):
            one.data.zero_()


@pytest.mark.parametrize("mistake", [swapped_activation, plain_heads, swapped_taps, no_biases])
def test_a_mistake_in_what_is_yuans_own_shows(model, tokenizer, mistake):
    altered = copy.deepcopy(model)
    mistake(altered)
    assert mean_kld(model, altered, tokenizer) > 0.01
