"""SentencePiece BPE (Llama 2, Mistral) as a GGUF stores it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from targets.gguf.sentencepiece_model import Piece, read_pieces
from targets.gguf.tokenizer import Tokenizer
from targets.gguf.tokens import listed_tokens
from targets.gguf.vocabulary import Vocabulary

_UNRANKED = -1.0e4


def is_sentencepiece(state: dict[str, Any]) -> bool:
    """Whether this is BPE over characters, with tokens for the bytes of all others."""
    return state["model"]["type"] == "BPE" and bool(state["model"].get("byte_fallback"))


def sentencepiece_candidates(tokenizer: Tokenizer, rows: int) -> list[Vocabulary]:
    """Vocabularies to be proven, the likeliest first: with or without a space in front.

    Args:
        tokenizer: The checkpoint's.
        rows: Rows of the embedding.
    """
    from gguf import TokenType

    tokens, types = listed_tokens(tokenizer, rows, bytes_named=True)
    unknown = tokenizer.special_ids().get("unk")
    types = tuple(int(TokenType.UNKNOWN) if i == unknown else t for i, t in enumerate(types))
    path = tokenizer.folder / "tokenizer.model"
    pieces = read_pieces(path) if path.is_file() else []
    scores = _scores(tokenizer, tokens, pieces)
    plain = Vocabulary("llama", "default", tokens, types, scores=scores)
    first = prefixes_space(tokenizer)
    return [replace(plain, space_prefix=first), replace(plain, space_prefix=not first)]


def _scores(
    tokenizer: Tokenizer, tokens: tuple[str, ...], pieces: list[Piece]
) -> tuple[float, ...]:
    """Scores of the SentencePiece model if it is there, else ranks of the merges.

    llama.cpp joins the neighbours whose union has the highest score, so any numbers in the
    order of the merges will do.
    """
    if pieces:
        known = {piece.text: piece.score for piece in pieces}
    else:
        known = {}
        for rank, (left, right) in enumerate(tokenizer.state["model"]["merges"]):
            known.setdefault(left + right, -float(rank))
    return tuple(known.get(token, _UNRANKED) for token in tokens)


def prefixes_space(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer puts a space before the text, as far as its state tells."""
    state = repr(tokenizer.state.get("normalizer")) + repr(tokenizer.state.get("pre_tokenizer"))
    return "Prepend" in state or "'prepend_scheme': 'first'" in state or "'always'" in state
