"""Texts that OpenVINO's tokenizers are known to treat otherwise than transformers."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping
from typing import Any

REORDERING = (
    "the tokenizer puts combining marks into canonical order (NFC);"
    " OpenVINO composes characters but leaves the marks as they stand:"
    " text with marks in another order gets other ids"
)


def known_difference(text: str, tokenizer: Mapping[str, Any]) -> str | None:
    """Why ``text`` gets other ids in OpenVINO; None if it must get the same.

    Args:
        text: What is tokenized.
        tokenizer: The original's tokenizer.json.
    """
    composes = "NFC" in repr(tokenizer.get("normalizer"))
    return REORDERING if composes and any(map(_is_reordered, _clusters(text))) else None


def _clusters(text: str) -> list[str]:
    """``text`` cut before every character that is no combining mark."""
    starts = [i for i, character in enumerate(text) if unicodedata.combining(character) == 0]
    return [text[i:j] for i, j in itertools.pairwise([0, *starts, len(text)])]


def _is_reordered(cluster: str) -> bool:
    """Whether canonical ordering (Unicode Standard Annex 15) shows in the composed form."""
    # One character at a time: decomposing all at once would order the marks already.
    parts = "".join(unicodedata.normalize("NFD", character) for character in cluster)
    classes = map(unicodedata.combining, parts)
    moved = any(before > after > 0 for before, after in itertools.pairwise(classes))
    return moved and not unicodedata.is_normalized("NFC", cluster)
