"""Mistakes a converter can make, made on purpose on a trained model: every encoding catches them.

The artifact is the original model of transformers itself, with its weights bent.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from golden import reference, texts, tokenization
from golden.metrics import compare_logits, summarize, tail
from golden.result import Parity, judge
from golden.texts import FOLDER
from golden.thresholds import thresholds_for

TINY = FOLDER / "models" / "tiny-llama"
ENCODINGS = ("bf16", "int8", "int4")
NOT_APPLICABLE = Parity(0, 0)


@pytest.fixture(scope="module")
def original():
    return reference.load(TINY, threads=1)


@pytest.fixture(scope="module")
def recorded(original):
    """The shipped prompts, cut short, and the original's logits for them."""
    words = tokenization.load(TINY)
    prompts = [tokenization.prompt_ids(words, text)[:96] for text in texts.prompts()]
    return [(ids, original.logits(ids)) for ids in prompts]


def linear_weights(model):
    return [p.data for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n]


def rounded(weight, bits):
    """Round to nearest, symmetric, one scale for 32 weights."""
    groups = weight.reshape(weight.shape[0], -1, 32)
    top = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True) / top
    return (groups / scale).round(), scale


def quantize(model, bits):
    for weight in linear_weights(model):
        codes, scale = rounded(weight, bits)
        weight.copy_((codes * scale).reshape(weight.shape))


def swap_query_and_key_halves(model):
    """Rows of each head from halves to interleaved pairs, as one runtime wants them."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, parameter in model.named_parameters():
        for projection, count in heads.items():
            if projection in name:
                pairs = parameter.data.reshape(count, 2, config.head_dim // 2, -1)
                parameter.data.copy_(pairs.transpose(1, 2).reshape(parameter.shape))


def shift_scales(model):
    """Every group of 32 weights gets its neighbour's scale."""
    for weight in linear_weights(model):
        codes, scale = rounded(weight, 8)
        weight.copy_((codes * scale.roll(1, dims=1)).reshape(weight.shape))


def change_rope_base(model, factor=5.0):
    rope, config = model.model.rotary_emb, model.config
    base = config.rope_parameters["rope_theta"] * factor
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    rope.inv_freq.copy_(1 / base**half)


def bent(original, *steps):
    model = copy.deepcopy(original.model)
    with torch.no_grad():
        for step in steps:
            step(model)
    return reference.Reference(model)


def verdict(artifact, recorded, encoding, stored=None):
    """The failures of an artifact against the recording and, if given, the stored weights."""
    outputs = [artifact.logits(ids) for ids, _ in recorded]
    figures = [
        compare_logits(logits, out, ids)
        for (ids, logits), out in zip(recorded, outputs, strict=True)
    ]
    faithful = None
    if stored is not None:
        faithful = summarize(
            [
                compare_logits(stored.logits(ids), out, ids)
                for (ids, _), out in zip(recorded, outputs, strict=True)
            ]
        )
    decoded = summarize([tail(each, 8) for each in figures])
    limits = thresholds_for(encoding)
    return judge(summarize(figures), decoded, faithful, NOT_APPLICABLE, NOT_APPLICABLE, limits)


@pytest.mark.parametrize(("encoding", "bits"), [("int8", 8), ("int4", 4)])
def test_an_honest_conversion_passes(original, recorded, encoding, bits):
    honest = bent(original, lambda model: quantize(model, bits))
    assert verdict(honest, recorded, encoding, stored=honest) == ()


def test_bfloat16_passes(original, recorded):
    honest = reference.Reference(copy.deepcopy(original.model).to(torch.bfloat16))
    assert verdict(honest, recorded, "bf16", stored=original) == ()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_swapped_query_and_key_order_fails(original, recorded, encoding):
    failures = verdict(bent(original, swap_query_and_key_halves), recorded, encoding)
    assert any(failure.startswith("mean KL") for failure in failures)


@pytest.mark.parametrize("encoding", ["bf16", "int8"])
def test_scales_off_by_one_fail(original, recorded, encoding):
    failures = verdict(bent(original, shift_scales), recorded, encoding)
    assert any(failure.startswith("mean KL") for failure in failures)


@pytest.mark.parametrize("encoding", ["bf16", "int8"])
def test_a_wrong_rope_base_fails(original, recorded, encoding):
    failures = verdict(bent(original, change_rope_base), recorded, encoding)
    assert any(failure.startswith("mean KL") for failure in failures)


def test_a_wrong_rope_base_at_4_bits_fails_against_its_own_weights(original, recorded):
    """The loss of precision is allowed more than this mistake costs; its own weights tell."""
    honest = bent(original, lambda model: quantize(model, 4))
    wrong = bent(original, lambda model: quantize(model, 4), change_rope_base)
    (failure,) = verdict(wrong, recorded, "int4", stored=honest)
    assert failure.startswith("mean KL to the original with the artifact's own weights")


def test_the_model_is_peaked_enough_to_tell(recorded):
    """On flat distributions every artifact would pass."""
    logits = np.concatenate([values for _, values in recorded]).astype(np.float64)
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    assert np.median(odds.max(-1) / odds.sum(-1)) > 0.3
