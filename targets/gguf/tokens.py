"""Texts and types of all tokens in the order of their ids, padded to the embedding's rows."""

from __future__ import annotations

import re

from convert.errors import UnsupportedTokenizerError
from targets.gguf.tokenizer import Tokenizer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def listed_tokens(
    tokenizer: Tokenizer, rows: int, *, bytes_named: bool = False
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Text and gguf.TokenType of each id from 0 to ``rows``.

    Args:
        tokenizer: The checkpoint's.
        rows: Rows of the embedding; ids without a token become ``[PADn]``, as in llama.cpp.
        bytes_named: Whether tokens like ``<0x0A>`` stand for single bytes.

    Raises:
        UnsupportedTokenizerError: There are more tokens than rows.
    """
    from gguf import TokenType

    vocabulary: dict[str, int] = tokenizer.fast.get_vocab()
    last = max(vocabulary.values())
    if last >= rows:
        raise UnsupportedTokenizerError(
            "the tokenizer has tokens that the model has no embedding for",
            expected=f"ids below {rows}",
            found=f"id {last}",
            remedy="resize the model's embedding, or remove the tokens that were added",
        )
    # llama.cpp wants no text twice.
    texts = [f"[PAD{i}{'_' if f'[PAD{i}]' in vocabulary else ''}]" for i in range(rows)]
    types = [int(TokenType.UNUSED)] * rows
    for text, i in vocabulary.items():
        texts[i] = text
        is_byte = bytes_named and _BYTE.fullmatch(text)
        types[i] = int(TokenType.BYTE if is_byte else TokenType.NORMAL)
    for added in tokenizer.added_tokens():
        i, text = added["id"], added["content"]
        control = added["special"] or looks_special(text)
        # llama.cpp looks for these in the plain text, before it escapes spaces.
        texts[i] = text if control else text.replace("\u2581", " ")
        types[i] = int(TokenType.CONTROL if control else TokenType.USER_DEFINED)
    return tuple(texts), tuple(types)


def looks_special(text: str) -> bool:
    """Whether an added token is a control token although its file does not call it special."""
    bracketed = (("<|", "|>"), ("<\uff5c", "\uff5c>"), ("<unused", ">"))
    return text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]") or any(
        text.startswith(opening) and text.endswith(closing) for opening, closing in bracketed
    )
