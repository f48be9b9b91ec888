"""The text that a model is calibrated with, as tokens of its own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from convert.errors import MissingFileError, UnsupportedTokenizerError, UsageError
from golden import texts

SHIPPED = texts.FOLDER / "calibration.txt"
"""Prose, dialogue, code and tables in nine languages; none of the gate's prompts."""

SEQUENCE_TOKENS = 512
MOST_TOKENS = 2048
"""Activations of all texts are held at once, and time grows with them. Of the largest inputs that
all 3,659 tokens of the shipped text find in SmolLM2-135M's layers, 2048 find 100 % in the median
layer and 89 % in the worst twentieth; 1024 tokens 98 % and 81 %, 256 tokens 94 % and 55 %."""

SHORTEST_TOKENS = 32
"""Rather than cut more of each text, fewer texts are taken."""

PASSAGE_CHARACTERS = 1 << 14
"""A longer passage is cut before it is tokenized; of a book a few pages are."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class CalibrationText:
    """Texts for calibration.

    Args:
        sha256: Of the file.
        sequences: Tokens; each is a sequence of its own.
    """

    sha256: str
    sequences: tuple[tuple[int, ...], ...]


def text_digest(path: Path | None) -> str:
    """SHA-256 of a user's text file, or of the shipped one.

    Raises:
        MissingFileError: It is not there, or cannot be read.
    """
    file = path or SHIPPED
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise MissingFileError(
            f"cannot read the calibration text {file.name}", found=str(error.strerror)
        ) from error


def calibration_text(
    folder: Path,
    path: Path | None = None,
    *,
    sequence_tokens: int = SEQUENCE_TOKENS,
    most_tokens: int = MOST_TOKENS,
) -> CalibrationText:
    """The text cut into sequences.

    Args:
        folder: Of the checkpoint, with its tokenizer.
        path: UTF-8 text, passages between lines of ``---``; None for the shipped one.
        sequence_tokens: The longest sequence.
        most_tokens: Of a longer text a part, see `spread`.

    Raises:
        MissingFileError: There is no such text.
        UsageError: The file is no text, or an empty one.
        UnsupportedTokenizerError: There is no tokenizer, or it cannot be loaded.
    """
    digest = text_digest(path)
    passages = [
        text[start : start + PASSAGE_CHARACTERS]
        for text in texts.prompts(path or SHIPPED)
        for start in range(0, len(text), PASSAGE_CHARACTERS)
    ]
    chosen = _evenly(passages, most_tokens // SHORTEST_TOKENS)
    pieces = [
        tuple(tokens[start : start + sequence_tokens])
        for tokens in tokenize(folder, chosen)
        for start in range(0, len(tokens), sequence_tokens)
    ]
    if not pieces:
        raise UsageError("the calibration text has no tokens", found=(path or SHIPPED).name)
    return CalibrationText(digest, tuple(spread(pieces, most_tokens)))


def spread(pieces: Sequence[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    """Pieces of at most ``most`` tokens in all: a little of each rather than all of a few.

    Of too many pieces those are taken that lie evenly among them; of too long ones the beginnings.
    """
    taken = _evenly(pieces, most // SHORTEST_TOKENS)
    length = max(map(len, taken))
    while sum(min(len(piece), length) for piece in taken) > most:
        length -= 1
    return [piece[:length] for piece in taken]


def _evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, but one at least, at even distances."""
    count = min(len(items), max(1, most))
    return [items[number * len(items) // count] for number in range(count)]


def tokenize(folder: Path, passages: Sequence[str]) -> list[list[int]]:
    """Tokens of passages, with those that the tokenizer puts in front of a text by default.

    Raises:
        UnsupportedTokenizerError: There is no tokenizer, or it cannot be loaded.
    """
    stored = folder / "tokenizer.json"
    if not stored.is_file():
        from targets.without_torch import call

        return call(_tokenize_in_transformers, folder, list(passages))
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(stored))
    except Exception as error:  # the library raises bare exceptions
        raise UnsupportedTokenizerError(
            "tokenizer.json cannot be loaded", found=str(error).splitlines()[0]
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [list(tokenizer.encode(text).ids) for text in passages]


def _tokenize_in_transformers(folder: Path, passages: Sequence[str]) -> list[list[int]]:
    from golden import tokenization

    tokenizer = tokenization.load(folder)
    return [tokenization.prompt_ids(tokenizer, text) for text in passages]


def required_text(
    folder: Path,
    path: Path | None,
    *,
    sequence_tokens: int,
    most_tokens: int = MOST_TOKENS,
) -> CalibrationText:
    """`calibration_text` for what cannot do without it.

    Raises:
        UnsupportedTokenizerError: There is no tokenizer, or it cannot be loaded.
        UsageError: The file is no text, or an empty one.
        MissingFileError: There is no such text.
    """
    try:
        return calibration_text(
            folder, path, sequence_tokens=sequence_tokens, most_tokens=most_tokens
        )
    except UnsupportedTokenizerError as error:
        raise UnsupportedTokenizerError(
            "calibration cannot read a text without the model's tokenizer",
            found=error.what,
            remedy="add the tokenizer to the checkpoint, or choose what needs no calibration",
        ) from error
