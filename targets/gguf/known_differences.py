"""Texts that llama.cpp is known to tokenize otherwise than transformers, whatever a GGUF says."""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.pre_tokenizers import KNOWN, PreTokenizer, matching

COMPOSING = (
    "the tokenizer composes characters (NFC) and llama.cpp does not:"
    " text that is not composed already gets other ids"
)
LEADING_SPACE = (
    "transformers puts no space before a text that begins with one;"
    " llama.cpp does, as SentencePiece does: such a text gets other ids"
)
CASES_AND_MARKS = (
    "llama.cpp knows neither case beyond A to Z nor combining marks when it cuts words for this"
    " tokenizer: such words may get other ids"
)
NEXT_LINE = (
    "transformers takes the control character U+0085 for a space in this kind of tokenizer and"
    " llama.cpp does not: a text with it gets other ids"
)

Applies = Callable[[str], bool]


def known_differences(tokenizer: Mapping[str, Any]) -> tuple[str, ...]:
    """What llama.cpp does otherwise for a tokenizer given as its tokenizer.json."""
    return tuple(_checks(tokenizer))


def known_difference(text: str, tokenizer: Mapping[str, Any]) -> str | None:
    """Why ``text`` gets other ids in llama.cpp; None if it must get the same."""
    return next((reason for reason, applies in _checks(tokenizer).items() if applies(text)), None)


def _checks(tokenizer: Mapping[str, Any]) -> dict[str, Applies]:
    """The reasons that there are for a tokenizer, and whether each applies to a text."""
    found: dict[str, Applies] = {}
    if "NFC" in repr(tokenizer.get("normalizer")):
        found[COMPOSING] = lambda text: not unicodedata.is_normalized("NFC", text)
    scheme = repr(tokenizer.get("pre_tokenizer"))
    if "Metaspace" in scheme and "'never'" not in scheme:
        found[LEADING_SPACE] = lambda text: text.startswith(" ")
    if dict(tokenizer.get("model") or {}).get("type") == "Unigram":
        found[NEXT_LINE] = lambda text: "\x85" in text
    known = _nearly_known(json.dumps(tokenizer.get("pre_tokenizer")))
    if known is not None:
        found[CASES_AND_MARKS] = functools.partial(_is_cut_otherwise, known)
    return found


def _is_cut_otherwise(known: PreTokenizer, text: str) -> bool:
    right, run = known.build(), known.build_as_run()
    return bool(right.pre_tokenize_str(text) != run.pre_tokenize_str(text))


@functools.lru_cache(maxsize=4)
def _nearly_known(steps: str) -> PreTokenizer | None:
    """The pre-tokenizer that llama.cpp only comes near to, if these steps are one.

    Args:
        steps: ``pre_tokenizer`` of tokenizer.json.
    """
    if "\\\\p{Lt}" not in steps:
        return None
    from tokenizers import Tokenizer

    empty = {"type": "BPE", "vocab": {}, "merges": []}
    bare = {"version": "1.0", "added_tokens": [], "pre_tokenizer": json.loads(steps)}
    actual = Tokenizer.from_str(json.dumps({**bare, "model": empty})).pre_tokenizer
    names = matching(actual, False, PARITY_TEXTS)
    return next((known for known in KNOWN if known.run_as and known.names[0] in names), None)
