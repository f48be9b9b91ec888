"""A little of the shipped text: the passages that a model's tokenizer knows best.

A tokenizer needs few tokens for what it was made from, and so, more or less, was its model. Of what
a model does not know, little can be learnt of its inputs.
"""

from __future__ import annotations

from pathlib import Path

from convert.calibration_text import (
    SHIPPED,
    SHORTEST_TOKENS,
    CalibrationText,
    spread,
    text_digest,
    tokenize,
)
from golden import texts

IDEOGRAPH = 3
"""Letters that a character of Chinese or Japanese is worth: translations have as many."""

_FIRST_IDEOGRAPH = "\u2e80"


def familiar_text(folder: Path, *, sequence_tokens: int, most_tokens: int) -> CalibrationText:
    """The beginnings of passages that say most by token; all of them, if so many tokens are wanted.

    Args:
        folder: Of the checkpoint, with its tokenizer.
        sequence_tokens: The longest sequence.
        most_tokens: Of all.

    Raises:
        UnsupportedTokenizerError: There is no tokenizer, or it cannot be loaded.
    """
    passages = texts.prompts(SHIPPED)
    tokens = tokenize(folder, passages)
    best = sorted(
        range(len(passages)), key=lambda number: len(tokens[number]) / letters_in(passages[number])
    )
    taken = sorted(best[: max(1, most_tokens // SHORTEST_TOKENS)])
    pieces = [tuple(tokens[number][:sequence_tokens]) for number in taken]
    return CalibrationText(text_digest(None), tuple(spread(pieces, most_tokens)))


def letters_in(text: str) -> int:
    """How many letters of an alphabet say about as much."""
    return sum(IDEOGRAPH if character >= _FIRST_IDEOGRAPH else 1 for character in text)
