"""The shipped texts cover what they should; a user's prompts are checked."""

from __future__ import annotations

import unicodedata

import pytest

from convert.errors import MissingFileError, UsageError
from golden import texts


def test_shipped_prompts():
    prompts = texts.prompts()
    assert len(prompts) >= 5
    assert 350 < sum(len(prompt.split()) for prompt in prompts) < 600
    assert all(prompt == prompt.strip() for prompt in prompts)


@pytest.mark.parametrize(
    ("what", "occurs"),
    [
        ("tab", lambda t: "\t" in t),
        ("CRLF", lambda t: "\r\n" in t),
        ("bare CR", lambda t: "\r" in t.replace("\r\n", "")),
        ("run of newlines", lambda t: "\n\n\n" in t),
        ("run of spaces", lambda t: "    " in t),
        ("only spaces", lambda t: t and not t.strip(" ")),
        ("ZWJ emoji", lambda t: "\u200d" in t),
        ("flag", lambda t: "\U0001f1eb\U0001f1f7" in t),
        ("composed accent", lambda t: unicodedata.normalize("NFD", t) != t),
        ("decomposed accent", lambda t: unicodedata.normalize("NFC", t) != t),
        ("right to left", lambda t: any(unicodedata.bidirectional(c) == "R" for c in t)),
        ("Arabic", lambda t: any(unicodedata.bidirectional(c) == "AL" for c in t)),
        ("CJK", lambda t: "\u4e2d" in t),
        ("contraction", lambda t: "I'm" in t),
        ("URL", lambda t: "https://" in t),
        ("ten digits", lambda t: "1234567890" in t),
        ("control character", lambda t: "\x07" in t),
        ("beyond the BMP", lambda t: any(ord(c) > 0xFFFF for c in t)),
    ],
)
def test_parity_texts_hold(what, occurs):
    assert any(occurs(text) for text in texts.parity_texts())


def test_parity_texts_are_distinct_and_not_empty():
    found = texts.parity_texts()
    assert len(found) == len(set(found)) > 80
    assert all(found)


def test_chats():
    chats = texts.chats()
    roles = [[message["role"] for message in chat] for chat in chats]
    assert ["user"] in roles
    assert any(found[0] == "system" for found in roles)
    assert any(len(found) > 3 for found in roles)
    # The generation prompt follows a user's turn.
    assert all(found[-1] == "user" for found in roles)


def test_a_users_prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"one\r\nline two\r\n---\r\n  indented\n\n---\n\n")
    assert texts.prompts(path) == ["one\nline two", "  indented"]


def test_bad_prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    with pytest.raises(MissingFileError, match=r"prompts\.txt"):
        texts.prompts(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        texts.prompts(path)
    path.write_bytes(b"\n---\n \n")
    with pytest.raises(UsageError, match="no prompt"):
        texts.prompts(path)
