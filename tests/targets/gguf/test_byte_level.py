"""Byte-level BPE in llama.cpp gives the ids of transformers, whatever cuts the text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, normalizers, processors

from convert.errors import UnsupportedTokenizerError
from golden.texts import FOLDER, parity_texts
from targets.gguf.byte_level import byte_level_candidates, is_byte_level
from targets.gguf.checkpoint_vocabulary import proven_vocabulary
from targets.gguf.known_differences import CASES_AND_MARKS, known_difference
from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.pre_tokenizers import KNOWN, PreTokenizer
from targets.gguf.proof import Question, ask
from targets.gguf.tokenizer import Tokenizer
from tests.targets.gguf.checkpoints import (
    VOCABULARY,
    byte_level,
    save_tokenizer,
    steps,
    trained,
)

CALIBRATION = FOLDER / "calibration.txt"


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


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.names[0])
def test_every_pre_tokenizer_of_llama_cpp_is_proven(known: PreTokenizer, tmp_path: Path) -> None:
    """On the parity texts of the gate, too, as far as llama.cpp can."""
    texts = [*parity_texts(), *PARITY_TEXTS, CALIBRATION.read_text()]
    tokenizer = trained(known.build(), texts, 4000, ignore_merges=known.ignores_merges)
    save_tokenizer(tokenizer, tmp_path)
    vocabulary, notes = proven_vocabulary(tmp_path, 4096)
    assert vocabulary.pre == known.names[0]
    assert notes == ([CASES_AND_MARKS] if known.run_as else [])
    state = json.loads(tokenizer.to_str())
    every = parity_texts()
    asked = [text for text in every if known_difference(text, state) is None]
    assert len(asked) > len(every) * 3 // 4
    right = [tuple(tokenizer.encode(text).ids) for text in asked]
    assert ask(vocabulary, Question(tuple(asked), tuple(right))).difference is None


def test_a_missing_cut_that_no_token_crosses_is_proven(tmp_path: Path) -> None:
    """Digits that no merge joins may stay together."""
    tokenizer = byte_level("smollm")
    tokenizer.pre_tokenizer = steps("gpt2")
    save_tokenizer(tokenizer, tmp_path)
    assert proven_vocabulary(tmp_path, VOCABULARY)[0].pre in ("gpt-2", "smollm")


def test_special_tokens_that_take_spaces_with_them_are_noted(tmp_path: Path) -> None:
    tokenizer = byte_level("smollm", VOCABULARY - 10)
    tokenizer.add_special_tokens([AddedToken("<|user|>", rstrip=True)])
    save_tokenizer(tokenizer, tmp_path)
    _, (note,) = proven_vocabulary(tmp_path, VOCABULARY)
    assert "special tokens" in note
    assert "<|user|>" in note


def test_what_cannot_be_put_around_a_text_is_refused(tmp_path: Path) -> None:
    tokenizer = byte_level("smollm")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="does not tokenize"):
        proven_vocabulary(tmp_path, VOCABULARY)


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
