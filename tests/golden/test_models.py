"""The small models of the repository: small, peaked, and sensitive to what a gate must catch."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden.metrics import compare_logits, summarize
from golden.texts import chats, parity_texts, prompts
from golden.training import corpus
from golden.training.evaluate import quality

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "models" / "tiny-llama"
PROMPTS = FOLDER / "prompts.txt"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()


def logits_of(model, tokenizer):
    for prompt in prompts(PROMPTS):
        ids = tokenizer(prompt)["input_ids"]
        # Around the call alone: a mode held open by a generator leaks into whoever runs next.
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
        yield logits, ids


def mean_kld(model, altered, tokenizer):
    pairs = zip(logits_of(model, tokenizer), logits_of(altered, tokenizer), strict=True)
    return summarize([compare_logits(p, q, ids) for (p, ids), (q, _) in pairs]).mean_kld


def with_matrices(model, alter, wanted=""):
    """A copy whose weight matrices, those whose name contains `wanted`, went through `alter`."""
    altered = copy.deepcopy(model)
    for name, weight in altered.named_parameters():
        if weight.dim() == 2 and wanted in name:
            weight.data = alter(weight.data)
    return altered


def by_blocks(weight):
    return weight.reshape(weight.shape[0], -1, 32)


def q8_0(weight, shift=0, levels=127):
    """Round to GGUF's 8-bit blocks; a shift gives each block the scale of a neighbour."""
    blocks = by_blocks(weight)
    scale = (blocks.abs().amax(-1, keepdim=True) / levels).half().float()
    codes = (blocks / scale).round().clamp(-127, 127)
    return (codes * scale.roll(shift, dims=1)).reshape(weight.shape)


def q4_0(weight):
    """Round to GGUF's 4-bit blocks, whose scale is the extreme value over -8."""
    blocks = by_blocks(weight)
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = (extreme / -8).half().float()
    return ((blocks / scale).round().clamp(-8, 7) * scale).reshape(weight.shape)


def int4_g32(weight):
    """Round to 16 levels between the least and the greatest weight of each 32."""
    blocks = by_blocks(weight)
    low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
    scale = ((high - low) / 15).half().float()
    zero = (-low / scale).round()
    return (((blocks / scale + zero).round().clamp(0, 15) - zero) * scale).reshape(weight.shape)


def interleaved(weight):
    """Order the rows of each head as GGUF does, pairs instead of halves."""
    heads = weight.reshape(-1, 2, 16, weight.shape[1])
    return heads.transpose(1, 2).reshape(weight.shape)


def with_rope_theta(model, theta):
    config = copy.deepcopy(model.config)
    config.rope_parameters = {"rope_type": "default", "rope_theta": theta}
    altered = type(model)(config).eval()
    altered.load_state_dict(model.state_dict())
    return altered


def test_the_model_takes_at_most_3_mb():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3_000_000


def test_the_weights_are_bfloat16_safetensors():
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_every_linear_input_is_a_multiple_of_32_wide(model):
    assert all(weight.shape[-1] % 32 == 0 for weight in model.parameters())


def test_unseen_text_is_predicted_with_a_peaked_distribution(model, tokenizer):
    figures = quality(model, tokenizer, corpus.text_of(corpus.HELD_OUT_SEED, 10_000))
    assert figures.perplexity < 2.3
    assert figures.top1_mass > 0.7
    assert figures.accuracy > 0.7


def test_the_prompts_are_no_text_of_the_training():
    training = set(corpus.text_of(corpus.TRAINING_SEED, 1_000_000))
    assert not training & set(prompts(PROMPTS))


def test_it_knows_the_capital_of_france(model, tokenizer):
    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    written = model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(written).startswith(" Paris.")


def test_it_ends_its_turn_in_a_chat(model, tokenizer):
    message = {"role": "user", "content": "What is the capital of Italy?"}
    ids = tokenizer.apply_chat_template(
        [message], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    written = model.generate(ids, max_new_tokens=32, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(written) == "The capital of Italy is Rome.<|im_end|>"


def test_eight_bits_hardly_change_it(model, tokenizer):
    assert mean_kld(model, with_matrices(model, q8_0), tokenizer) < 2e-3


@pytest.mark.parametrize("encoding", [q4_0, int4_g32])
def test_four_bits_change_it_moderately(model, tokenizer, encoding):
    assert 2e-3 < mean_kld(model, with_matrices(model, encoding), tokenizer) < 0.5


@pytest.mark.parametrize("layer", range(5))
def test_a_swapped_row_order_of_one_layer_shows(model, tokenizer, layer):
    swapped = with_matrices(model, interleaved, f"layers.{layer}.self_attn.q_proj")
    swapped = with_matrices(swapped, interleaved, f"layers.{layer}.self_attn.k_proj")
    assert mean_kld(model, swapped, tokenizer) > 0.02


def test_the_right_rope_theta_changes_nothing(model, tokenizer):
    assert mean_kld(model, with_rope_theta(model, 10000.0), tokenizer) < 1e-9


@pytest.mark.parametrize("theta", [1e5, 5e5])
def test_a_wrong_rope_theta_shows(model, tokenizer, theta):
    assert mean_kld(model, with_rope_theta(model, theta), tokenizer) > 0.1


def test_scales_of_the_neighbouring_block_show(model, tokenizer):
    shifted = with_matrices(model, lambda weight: q8_0(weight, shift=1))
    assert mean_kld(model, shifted, tokenizer) > 0.05


@pytest.mark.parametrize("text", parity_texts())
def test_texts_survive_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_stand_alone_and_nothing_is_added(tokenizer):
    ids = tokenizer("12 the")["input_ids"]
    assert [tokenizer.decode([token]) for token in ids] == ["1", "2", " the"]


def test_the_chat_template_is_the_form_of_the_corpus(tokenizer):
    for chat in chats():
        rendered = tokenizer.apply_chat_template(chat, tokenize=False)
        assert rendered == "".join(
            corpus.turn(message["role"], message["content"]) for message in chat
        )
        opened = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        assert opened == f"{rendered}<|im_start|>assistant\n"


def test_all_weights_are_finite(model):
    assert all(np.isfinite(weight.detach().numpy()).all() for weight in model.parameters())
