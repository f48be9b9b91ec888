"""The small BLOOM of the repository: small, peaked, with biases, and sensitive to its own traps."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from golden import reference
from golden.metrics import compare_logits, summarize
from golden.texts import prompts
from golden.thresholds import thresholds_for
from golden.training import corpus
from golden.training.evaluate import quality
from golden.training.models import small_model
from golden.training.train import documents

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "models" / "tiny-bloom"
PROMPTS = FOLDER / "prompts.txt"
LIMIT = max(thresholds_for("int8").mean_kld, thresholds_for("int4").faithful_kld)
"""At 4 bits, it is the comparison with the original under the stored weights that tells."""


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return reference.load(FOLDER, 1).model


@pytest.fixture(scope="module")
def recorded(model, tokenizer):
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts(PROMPTS)]
    return [(each, logits_of(model, each)) for each in ids]


def logits_of(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].numpy()


def mean_kld(altered, recorded):
    return summarize(
        [compare_logits(p, logits_of(altered, ids), ids) for ids, p in recorded]
    ).mean_kld


def test_it_takes_at_most_3_4_mb():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3_400_000


def test_it_is_a_checkpoint_as_the_hub_has_them():
    config = json.loads((FOLDER / "config.json").read_text())
    assert config["architectures"] == ["BloomForCausalLM"]
    assert config["n_head"].bit_count() > 1
    settings = json.loads((FOLDER / "tokenizer_config.json").read_text())
    assert "chat_template" not in settings
    assert not (FOLDER / "chat_template.jinja").exists()


def test_no_bias_is_zero(model):
    biases = [one for name, one in model.named_parameters() if name.endswith(".bias")]
    assert len(biases) == 3 * 6 + 2
    assert all((bias.abs() > 1e-4).float().mean() > 0.9 for bias in biases)


def test_unseen_text_is_predicted_with_a_peaked_distribution(model, tokenizer):
    texts = documents(small_model("tiny-bloom"), corpus.HELD_OUT_SEED, 10_000)
    figures = quality(model, tokenizer, texts)
    assert figures.perplexity < 2.4
    assert figures.top1_mass > 0.7
    assert figures.accuracy > 0.7


def test_it_answers_and_stops(model, tokenizer):
    ids = tokenizer("What is the capital of Italy?")["input_ids"]
    start = len(ids)
    while ids[-1] != tokenizer.eos_token_id and len(ids) < start + 20:
        ids.append(int(logits_of(model, ids)[-1].argmax()))
    assert tokenizer.decode(ids[start:]) == " The capital of Italy is Rome.</s>"


def test_the_prompts_are_no_text_of_the_training():
    training = set(documents(small_model("tiny-bloom"), corpus.TRAINING_SEED, 1_000_000))
    assert not training & set(prompts(PROMPTS))


def thirds(model):
    """Queries, keys and values one after another, not head by head."""
    heads = model.config.n_head
    for layer in model.transformer.h:
        fused = layer.self_attention.query_key_value
        for part in (fused.weight, fused.bias):
            cut = part.data.reshape(3, heads, -1, *part.shape[1:])
            part.data = cut.transpose(0, 1).reshape(part.shape).contiguous()


def swapped_keys_and_values(model):
    heads = model.config.n_head
    for layer in model.transformer.h:
        fused = layer.self_attention.query_key_value
        for part in (fused.weight, fused.bias):
            cut = part.data.reshape(heads, 3, -1)
            part.data = cut[:, [0, 2, 1]].reshape(part.shape).contiguous()


def with_slopes(slopes):
    """Let every key count less by the head's slope for each token that it lies back."""
    by_head = torch.tensor(slopes)[:, None, None]

    def biased(_, args, kwargs):
        tokens = kwargs["alibi"].shape[-1]
        return args, {**kwargs, "alibi": by_head * torch.arange(tokens)}

    def mistake(model):
        assert len(slopes) == model.config.n_head
        for layer in model.transformer.h:
            layer.self_attention.register_forward_pre_hook(biased, with_kwargs=True)

    return mistake


RIGHT = [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]
"""Those of four heads, then every second one of eight."""

no_slopes = with_slopes([0.0] * 6)
geometric_slopes = with_slopes([2 ** (-8 * head / 6) for head in range(1, 7)])
sorted_slopes = with_slopes(sorted(RIGHT, reverse=True))
slopes_of_eight = with_slopes([2.0**-head for head in range(1, 7)])


def no_biases(model):
    for name, one in model.named_parameters():
        if name.endswith(".bias"):
            one.data.zero_()


def no_norm_of_the_embedding(model):
    model.transformer.word_embeddings_layernorm = torch.nn.Identity()


def residual_of_the_norms(model):
    for layer in model.transformer.h:
        layer.apply_residual_connection_post_layernorm = True
        layer.mlp.apply_residual_connection_post_layernorm = True


def test_the_slopes_of_this_file_are_those_of_transformers(model, recorded):
    altered = copy.deepcopy(model)
    with_slopes(RIGHT)(altered)
    assert mean_kld(altered, recorded) < 1e-9


@pytest.mark.parametrize(
    "mistake",
    [
        thirds,
        swapped_keys_and_values,
        no_slopes,
        geometric_slopes,
        sorted_slopes,
        slopes_of_eight,
        no_biases,
        no_norm_of_the_embedding,
        residual_of_the_norms,
    ],
)
def test_a_mistake_in_what_is_blooms_own_fails_the_gate(model, recorded, mistake):
    altered = copy.deepcopy(model)
    mistake(altered)
    assert mean_kld(altered, recorded) > LIMIT
