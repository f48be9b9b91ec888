"""Small checkpoints with trained tokenizers, and GGUF files made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from convert.architectures import architecture_of
from convert.stream import write_layouts
from passes.quantize import Policy, Quantize
from targets.base import Layout, LayoutRequest, Source
from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.target import GgufTarget
from tests.support.models import SmallModel, small_model

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 517


def steps(kind: str) -> Any:
    """The pre-tokenizer of a family of byte-level tokenizers."""
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    worded = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    return {
        "gpt2": worded,
        "smollm": pre_tokenizers.Sequence([digits, worded]),
        "llama3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), plain]),
        "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), plain]),
        "bloom": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(BLOOM), "isolated"), plain]),
        "vowels": pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex("[aeiou]"), "merged_with_next"), plain]
        ),
    }[kind]


def byte_level(kind: str, size: int = VOCABULARY - 4, **model: Any) -> Tokenizer:
    """A byte-level BPE tokenizer trained on the parity texts."""
    return trained(steps(kind), PARITY_TEXTS, size, **model)


def trained(pre_tokenizer: Any, texts: Sequence[str], size: int, **model: Any) -> Tokenizer:
    """A byte-level BPE tokenizer that cuts text in a given way, trained on texts."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, **settings: Any) -> Path:
    """Write tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIALS[0],
        "eos_token": SPECIALS[2],
        "pad_token": SPECIALS[0],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
        **settings,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def checkpoint(folder: Path, model_type: str, **overrides: Any) -> SmallModel:
    """A small random model with a byte-level tokenizer, saved in ``folder``."""
    model = small_model(model_type, vocab_size=VOCABULARY, **overrides)
    model.save(folder)
    save_tokenizer(byte_level("smollm"), folder)
    return model


def request(
    model: SmallModel,
    folder: Path,
    encoding: str = "f32",
    label: str = "acme/tiny-llama",
    options: Mapping[str, Any] | None = None,
) -> LayoutRequest:
    """What the pipeline would ask of the target."""
    graph = architecture_of(model.raw_config).build(model.config, model.weights)
    eight = encoding if encoding in ("f32", "f16", "bf16") else "q8_0"
    allowed = GgufTarget.encodings
    Quantize(Policy(encoding, eight, eight, (), allowed, fallbacks=("q8_0", "f16")))(graph)
    source = Source(label, folder, model.raw_config, model.config)
    return LayoutRequest(source, graph, options=options or {})


def convert(
    model: SmallModel, folder: Path, out: Path, encoding: str = "f32", **more: Any
) -> Layout:
    """Lay the model out and write it."""
    layout = GgufTarget().lay_out(request(model, folder, encoding, **more))
    out.mkdir(parents=True, exist_ok=True)
    write_layouts([(out, layout)])
    return layout


def ids(length: int, seed: int = 0) -> list[int]:
    """Random tokens."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, length).tolist()


def sentencepiece(path: Path, size: int, model_type: str = "bpe") -> Path:
    """A SentencePiece model trained on the parity texts: BPE with byte fallback, or unigram."""
    import sentencepiece as spm

    texts = [text for text in PARITY_TEXTS if text.strip() and "\0" not in text]
    with path.open("wb") as file:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 4),
            model_writer=file,
            vocab_size=size,
            model_type=model_type,
            byte_fallback=model_type == "bpe",
            character_coverage=0.98,
            normalization_rule_name="identity" if model_type == "bpe" else "nmt_nfkc",
            remove_extra_whitespaces=model_type != "bpe",
            hard_vocab_limit=model_type == "bpe",
            split_digits=True,
            allow_whitespace_only_pieces=True,
            num_threads=1,
            minloglevel=2,
        )
    return path
