"""Only the texts that llama.cpp is known to treat otherwise are excused, for a named reason."""

from __future__ import annotations

import pytest

from targets.gguf.known_differences import COMPOSING, LEADING_SPACE, known_difference

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
