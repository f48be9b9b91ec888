"""Texts that llama.cpp is known to tokenize otherwise than transformers, whatever a GGUF says."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

COMPOSING = (
    "the tokenizer composes characters (NFC) and llama.cpp does not:"
    " text that is not composed already gets other ids"
)
LEADING_SPACE = (
    "transformers puts no space before a text that begins with one;"
    " llama.cpp does, as SentencePiece does: such a text gets other ids"
)


def known_differences(tokenizer: Mapping[str, Any]) -> tuple[str, ...]:
    """What llama.cpp does otherwise for a tokenizer given as its tokenizer.json."""
    found = []
    if "NFC" in repr(tokenizer.get("normalizer")):
        found.append(COMPOSING)
    scheme = repr(tokenizer.get("pre_tokenizer"))
    if "Metaspace" in scheme and "'never'" not in scheme:
        found.append(LEADING_SPACE)
    return tuple(found)


def known_difference(text: str, tokenizer: Mapping[str, Any]) -> str | None:
    """Why ``text`` gets other ids in llama.cpp; None if it must get the same."""
    applies = {
        COMPOSING: not unicodedata.is_normalized("NFC", text),
        LEADING_SPACE: text.startswith(" "),
    }
    return next((reason for reason in known_differences(tokenizer) if applies[reason]), None)
