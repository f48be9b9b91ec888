"""The vocabulary of a GGUF: tokens with their types, scores and merges, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convert.errors import BadHeaderError, UnsupportedTokenizerError
from convert.sources.gguf_file import GgufFile

# Token types of llama.cpp: https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id with their types, scores and merges, checked for length."""

    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[tuple[str, str]]

    @property
    def ids(self) -> dict[str, int]:
        """Ids by token, without the placeholders that fill up an embedding matrix."""
        return {
            token: number
            for number, (token, kind) in enumerate(zip(self.tokens, self.types, strict=True))
            if not (kind == UNUSED and token == f"[PAD{number}]")
        }

    def joins(self) -> list[tuple[str, str]]:
        """All pairs of neighbours that SentencePiece may join, the best scored union first."""
        ids = {token: number for token, number in self.ids.items() if self.types[number] == NORMAL}
        merges, lengths = [], {len(token) for token in ids}
        for token, number in ids.items():
            # A damaged file's token can be of millions of characters; few lengths occur.
            for cut in sorted(n for n in lengths if n > 0 and len(token) - n in lengths):
                left, right = token[:cut], token[cut:]
                if left in ids and right in ids:
                    rank = (-self.scores[number], ids[left], ids[right])
                    merges.append((rank, (left, right)))
        return [pair for _, pair in sorted(merges)]


def read_vocabulary(gguf: GgufFile, size: int) -> Vocabulary:
    """The vocabulary, which must have as many tokens as the embedding has rows (``size``).

    Raises:
        UnsupportedTokenizerError: The file has none.
        BadHeaderError: It contradicts itself.
    """
    tokens = gguf.strings("tokenizer.ggml.tokens")
    if not tokens:
        raise UnsupportedTokenizerError(
            f"{gguf.path} carries no tokenizer",
            remedy="take a GGUF with its vocabulary, or the original checkpoint",
        )
    types = [_whole(kind) for kind in gguf.numbers("tokenizer.ggml.token_type")]
    scores = gguf.numbers("tokenizer.ggml.scores") or [0.0] * len(tokens)
    merges = [_halves(merge) for merge in gguf.strings("tokenizer.ggml.merges")]
    types = types or [NORMAL] * len(tokens)
    vocabulary = Vocabulary(tokens, types, scores, merges)
    problem = _problem(vocabulary, size)
    if problem:
        raise BadHeaderError(
            f"{gguf.path}: the vocabulary contradicts itself",
            found=problem,
            remedy="download or write the file again",
        )
    return vocabulary


def _whole(kind: float) -> int:
    return int(kind) if math.isfinite(kind) else -1


def _halves(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def _problem(vocabulary: Vocabulary, size: int) -> str | None:
    count = len(vocabulary.tokens)
    if count != size:
        return f"{count} tokens, but the embedding has {size} rows"
    if len(vocabulary.types) != count or len(vocabulary.scores) != count:
        lengths = f"{len(vocabulary.types)} types and {len(vocabulary.scores)} scores"
        return f"{count} tokens, but {lengths}"
    if any(map(math.isnan, vocabulary.scores)):
        return "a score that is no number"
    if len(set(vocabulary.tokens)) != count:
        return "a token that occurs twice"
    ids = vocabulary.ids
    for merge in vocabulary.merges:
        if not {*merge, "".join(merge)} <= ids.keys():
            return f"the merge {' '.join(merge)!r} of tokens that are not in the vocabulary"
    return None


def special_tokens(gguf: GgufFile, vocabulary: Vocabulary) -> dict[str, str]:
    """``bos_token``, ``eos_token``, ``unk_token`` and ``pad_token``, those that the file names.

    Raises:
        BadHeaderError: An id is out of range.
    """
    special = {}
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    for name, key in names.items():
        number = gguf.value(f"tokenizer.ggml.{key}_token_id", int)
        if number is None:
            continue
        if not 0 <= number < len(vocabulary.tokens):
            raise BadHeaderError(
                f"{gguf.path}: metadata key tokenizer.ggml.{key}_token_id is no token",
                expected=f"an id below {len(vocabulary.tokens)}",
                found=str(number),
                remedy="download or write the file again",
            )
        special[f"{name}_token"] = vocabulary.tokens[number]
    return special
