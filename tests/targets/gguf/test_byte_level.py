"""Byte-level BPE in llama.cpp gives the ids of transformers, whatever cuts the text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken, normalizers

from convert.errors import UnsupportedTokenizerError
from targets.gguf.byte_level import byte_level_candidates, is_byte_level
from targets.gguf.checkpoint_vocabulary import proven_vocabulary
from targets.gguf.tokenizer import Tokenizer
from tests.targets.gguf.checkpoints import VOCABULARY, byte_level, save_tokenizer


@pytest.mark.parametrize(
    ("kind", "ignore_merges", "name"),
    [
        ("gpt2", False, "gpt-2"),
        ("smollm", False, "smollm"),
        ("llama3", True, "llama-bpe"),
        ("llama3", False, "smaug-bpe"),
        ("qwen2", False, "qwen2"),
        ("bloom", False, "bloom"),
    ],
)
def test_the_pre_tokenizer_is_found_and_proven(
    kind: str, ignore_merges: bool, name: str, tmp_path: Path
) -> None:
    save_tokenizer(byte_level(kind, ignore_merges=ignore_merges), tmp_path)
    vocabulary, notes = proven_vocabulary(tmp_path, VOCABULARY)
    assert (vocabulary.model, vocabulary.pre) == ("gpt2", name)
    assert notes == []


def test_a_way_of_cutting_that_llama_cpp_has_not_is_refused(tmp_path: Path) -> None:
    save_tokenizer(byte_level("vowels"), tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="cuts text") as caught:
        proven_vocabulary(tmp_path, VOCABULARY)
    assert "aeiou" in str(caught.value)


def test_a_prefix_space_is_refused(tmp_path: Path) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    tokenizer = byte_level("gpt2")
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="cuts text"):
        proven_vocabulary(tmp_path, VOCABULARY)


def test_a_normalizer_that_llama_cpp_has_not_is_refused_with_the_text(tmp_path: Path) -> None:
    tokenizer = byte_level("gpt2")
    tokenizer.normalizer = normalizers.Lowercase()
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="does not tokenize") as caught:
        proven_vocabulary(tmp_path, VOCABULARY)
    assert "The capital of France is" in str(caught.value)


def test_composing_characters_is_noted(tmp_path: Path) -> None:
    tokenizer = byte_level("qwen2")
    tokenizer.normalizer = normalizers.NFC()
    save_tokenizer(tokenizer, tmp_path)
    vocabulary, notes = proven_vocabulary(tmp_path, VOCABULARY)
    assert vocabulary.pre == "qwen2"
    assert len(notes) == 1
    assert "NFC" in notes[0]


def test_added_tokens_that_are_not_special_are_found_in_text(tmp_path: Path) -> None:
    tokenizer = byte_level("smollm", VOCABULARY - 10)
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("    ")])
    save_tokenizer(tokenizer, tmp_path)
    vocabulary, _ = proven_vocabulary(tmp_path, VOCABULARY)
    assert vocabulary.tokens.index("<tool>") == tokenizer.token_to_id("<tool>")


def test_suffixed_words_are_refused(tmp_path: Path) -> None:
    save_tokenizer(byte_level("gpt2"), tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    tokenizer.state["model"]["end_of_word_suffix"] = "</w>"
    with pytest.raises(UnsupportedTokenizerError, match="end_of_word_suffix"):
        byte_level_candidates(tokenizer, VOCABULARY)


def test_merges_with_spaces_within_are_written_apart(tmp_path: Path) -> None:
    save_tokenizer(byte_level("gpt2"), tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    tokenizer.state["model"]["merges"] = [["a b", "c"], "d e"]
    assert is_byte_level(tokenizer.state)
    assert byte_level_candidates(tokenizer, VOCABULARY)[0].merges == ("a\u0120b c", "d e")
