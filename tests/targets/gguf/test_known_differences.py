"""Only the texts that llama.cpp is known to treat otherwise are excused, for a named reason."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models

from targets.gguf.known_differences import (
    CASES_AND_MARKS,
    COMPOSING,
    LEADING_SPACE,
    NEXT_LINE,
    known_difference,
    known_differences,
)
from targets.gguf.pre_tokenizers import KNOWN

COMPOSER = {"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"}}
LLAMA_2 = {"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}}
PLAIN = {"normalizer": None, "pre_tokenizer": {"type": "ByteLevel"}}


@pytest.mark.parametrize(
    ("text", "tokenizer", "reason"),
    [
        ("e\u0301", COMPOSER, COMPOSING),
        ("\u00e9", COMPOSER, None),
        (" a", LLAMA_2, LEADING_SPACE),
        ("a b", LLAMA_2, None),
        (" a", {"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "never"}}, None),
        ("e\u0301", PLAIN, None),
        (" a", PLAIN, None),
        (" a", {}, None),
    ],
)
def test_a_text_is_excused_only_where_it_applies(text, tokenizer, reason):
    assert known_difference(text, tokenizer) == reason


def test_words_that_llama_cpp_cuts_only_nearly_so_are_known() -> None:
    tekken = next(known for known in KNOWN if known.names[0] == "tekken")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = tekken.build()
    state = json.loads(tokenizer.to_str())
    assert known_differences(state) == (CASES_AND_MARKS,)
    assert known_difference("camelCase and 123", state) is None
    assert (
        known_difference("\u041f\u0440\u0438\u0432\u0435\u0442\u041c\u0438\u0440", state)
        == CASES_AND_MARKS
    )
    assert known_difference("a\u0308", state) == CASES_AND_MARKS


def test_a_next_line_in_a_unigram_text_is_known() -> None:
    state = {"model": {"type": "Unigram"}}
    assert known_difference("a\x85b", state) == NEXT_LINE
    assert known_difference("a b", state) is None
