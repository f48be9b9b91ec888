"""Byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM) as a GGUF stores it."""

from __future__ import annotations

from typing import Any

from convert.errors import UnsupportedTokenizerError
from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.pre_tokenizers import matching, nearest
from targets.gguf.tokenizer import Tokenizer
from targets.gguf.tokens import listed_tokens
from targets.gguf.vocabulary import Vocabulary

_NEAREST = 3


def is_byte_level(state: dict[str, Any]) -> bool:
    """Whether this is BPE over the letters that stand for bytes."""
    return state["model"]["type"] == "BPE" and "ByteLevel" in _types(state.get("pre_tokenizer"))


def byte_level_candidates(tokenizer: Tokenizer, rows: int) -> list[Vocabulary]:
    """Vocabularies to be proven, the likeliest first.

    Where llama.cpp has no pre-tokenizer that cuts text this way, those are tried that come
    nearest: where no token crosses a cut, it may be missing.

    Args:
        tokenizer: The checkpoint's.
        rows: Rows of the embedding.

    Raises:
        UnsupportedTokenizerError: The model marks the beginnings or ends of words.
    """
    model = tokenizer.state["model"]
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise UnsupportedTokenizerError(
                f"llama.cpp's byte-level BPE has no {key}", found=repr(model[key])
            )
    names = known_cuts(tokenizer) or nearest(
        tokenizer.pre_tokenizer, bool(model.get("ignore_merges")), PARITY_TEXTS, _NEAREST
    )
    tokens, types = listed_tokens(tokenizer, rows)
    merges = tuple(_merge(pair) for pair in model["merges"])
    return [Vocabulary("gpt2", name, tokens, types, merges=merges) for name in names]


def known_cuts(tokenizer: Tokenizer) -> list[str]:
    """Names of llama.cpp's pre-tokenizers that cut text as this one does."""
    ignores_merges = bool(tokenizer.state["model"].get("ignore_merges"))
    return matching(tokenizer.pre_tokenizer, ignores_merges, PARITY_TEXTS)


def _merge(pair: str | list[str]) -> str:
    if isinstance(pair, str):
        return pair
    # A space separates the halves; within one it is written as the letter that stands for it.
    return " ".join(half.replace(" ", "\u0120") for half in pair)


def _types(step: Any) -> set[str]:
    """Types of a pre-tokenizer and of all steps within."""
    if not isinstance(step, dict):
        return set()
    inner = [_types(each) for each in step.get("pretokenizers", [])]
    return {str(step.get("type"))}.union(*inner)
