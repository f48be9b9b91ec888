"""SentencePiece unigram (T5, ALBERT and models that took their tokenizers) as a GGUF stores it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from targets.gguf.spm import prefixes_space
from targets.gguf.tokenizer import Tokenizer
from targets.gguf.tokens import listed_tokens
from targets.gguf.vocabulary import Vocabulary

_ADDED, _UNUSED = -1000.0, -10000.0
"""Scores of tokens that no text is cut into: they are found before it is cut, or never."""


def is_unigram(state: dict[str, Any]) -> bool:
    """Whether words are cut into the likeliest pieces."""
    return bool(state["model"]["type"] == "Unigram")


def unigram_candidates(tokenizer: Tokenizer, rows: int) -> list[Vocabulary]:
    """Vocabularies to be proven, the likeliest first: spaces in front or not, merged or not.

    Args:
        tokenizer: The checkpoint's.
        rows: Rows of the embedding.
    """
    from gguf import TokenType

    model = tokenizer.state["model"]
    tokens, types = listed_tokens(tokenizer, rows, bytes_named=bool(model.get("byte_fallback")))
    unknown = model.get("unk_id")
    types = tuple(int(TokenType.UNKNOWN) if i == unknown else t for i, t in enumerate(types))
    scores = [_UNUSED] * rows
    for added in tokenizer.added_tokens():
        scores[added["id"]] = _ADDED
    for i, (_, score) in enumerate(model["vocab"]):
        scores[i] = float(score)
    plain = Vocabulary(
        "t5",
        "default",
        tokens,
        types,
        scores=tuple(scores),
        charsmap=next(_charsmaps(tokenizer.state.get("normalizer")), ""),
    )
    prefix, merged = prefixes_space(tokenizer), _merges_spaces(tokenizer)
    return [
        replace(plain, space_prefix=space, merges_spaces=merge)
        for merge, space in product((merged, not merged), (prefix, not prefix))
    ]


def _charsmaps(step: Any) -> Iterator[str]:
    """The table of replaced characters, in Base64, of a normalizer and all steps within."""
    if isinstance(step, dict):
        if step.get("precompiled_charsmap"):
            yield str(step["precompiled_charsmap"])
        for inner in step.get("normalizers", []):
            yield from _charsmaps(inner)


def _merges_spaces(tokenizer: Tokenizer) -> bool:
    return "{2,}" in repr(tokenizer.state.get("normalizer"))
