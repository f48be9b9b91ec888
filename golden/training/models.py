"""Which small models can be trained: their shapes, their tokenizers, and what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import UsageError
from golden.training import bloom, corpus, sentence_pieces, tokenizer
from golden.training.corpus import TURN_END

LONGEST = 512
VOCABULARY = 1280

_START, _END = (tokenizer.SPECIAL_TOKENS.index(token) for token in (tokenizer.DOCUMENT, TURN_END))
_PIECES = 1200
"""The rest of the vocabulary is added tokens, and rows of the embedding that no token has."""


@dataclass(frozen=True)
class SmallModel:
    """How one of the small models is made.

    Args:
        build: Makes it with the random weights of torch's current seed: a float32 model which,
            called with ``input_ids`` and ``labels``, gives the loss.
        train_tokenizer: Makes a tokenizer of texts; may write it into the folder already.
        separator: The token before each document.
        documents: A document of the corpus in the model's own form.
        steps: Optimizer steps.
        stored_name: What the file calls a weight, if its family's checkpoints on the hub do not
            call it what transformers does.
    """

    build: Callable[[], Any]
    train_tokenizer: Callable[[list[str], Path], Any]
    separator: str
    documents: Callable[[str], Iterable[str]]
    steps: int
    stored_name: Callable[[str], str] = str


def _tiny_llama() -> Any:
    """Build a Llama with grouped-query attention; every width is a multiple of 32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=LONGEST,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=_START,
        eos_token_id=_END,
        pad_token_id=_START,
    )
    model: Any = LlamaForCausalLM(config)
    # A chat turn ends with one token and any other document with the other.
    model.generation_config.eos_token_id = [_END, _START]
    return model


def _tiny_yuan2() -> Any:
    """Build a Yuan whose four heads can be shared among four sockets."""
    from golden.yuan import YuanConfig, YuanForCausalLM

    ids = {token: _PIECES + index for index, token in enumerate(sentence_pieces.ADDED_TOKENS)}
    document, answer = ids[sentence_pieces.DOCUMENT], ids[sentence_pieces.ANSWER]
    config = YuanConfig(
        auto_map={
            "AutoConfig": "configuration_yuan.YuanConfig",
            "AutoModelForCausalLM": "yuan_hf_model.YuanForCausalLM",
        },
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        hidden_act="silu",
        max_position_embeddings=LONGEST,
        model_max_length=LONGEST,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        causal_mask=True,
        dropout=0.0,
        reset_attention_mask=False,
        reset_position_ids=False,
        use_flash_attention=False,
        use_loss_mask=False,
        bos_token_id=document,
        eos_token_id=document,
        eod_token=document,
        pad_token_id=ids[sentence_pieces.PADDING],
        sep_token=answer,
    )
    return YuanForCausalLM(config)


def _tiny_bloom() -> Any:
    """Build a Bloom whose six heads are no power of two."""
    from transformers import BloomConfig, BloomForCausalLM

    ids = {token: index for index, token in enumerate(bloom.SPECIAL_TOKENS)}
    config = BloomConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        n_layer=3,
        n_head=6,
        layer_norm_epsilon=1e-5,
        seq_length=LONGEST,
        bos_token_id=ids[bloom.BEGINNING],
        eos_token_id=ids[bloom.END],
        pad_token_id=ids[bloom.PADDING],
    )
    return BloomForCausalLM(config)


def _train_bytes(texts: list[str], _: Path) -> Any:
    return tokenizer.train_tokenizer(texts, vocabulary=VOCABULARY, longest=LONGEST)


def _train_pieces(texts: list[str], folder: Path) -> Any:
    return sentence_pieces.train_sentence_pieces(texts, folder, vocabulary=_PIECES, longest=LONGEST)


def _train_bloom_bytes(texts: list[str], _: Path) -> Any:
    return bloom.train_tokenizer(texts, vocabulary=VOCABULARY, longest=LONGEST)


SMALL_MODELS = {
    "tiny-llama": SmallModel(
        _tiny_llama, _train_bytes, tokenizer.DOCUMENT, lambda one: [one], 2400
    ),
    "tiny-yuan2": SmallModel(
        _tiny_yuan2,
        _train_pieces,
        sentence_pieces.DOCUMENT,
        lambda one: corpus.questions_and_answers(one, sentence_pieces.ANSWER),
        1500,
    ),
    "tiny-bloom": SmallModel(
        _tiny_bloom,
        _train_bloom_bytes,
        bloom.END,
        lambda one: corpus.questions_and_answers(one, " "),
        2000,
        bloom.stored_name,
    ),
}


def small_model(name: str) -> SmallModel:
    """How to make a small model.

    Args:
        name: One of `SMALL_MODELS`.

    Raises:
        UsageError: There is no small model of that name.
    """
    if name not in SMALL_MODELS:
        raise UsageError(
            "There is no such small model to train.",
            expected=" or ".join(SMALL_MODELS),
            found=name,
        )
    return SMALL_MODELS[name]


def build_untrained(name: str) -> Any:
    """Build a small model with the random weights of torch's current seed.

    Raises:
        UsageError: There is no small model of that name.
    """
    return small_model(name).build()
