"""Which passages of the shipped text a model's scales are weighted by."""

import pytest

from convert import familiar_text as module
from convert.calibration_text import SHIPPED, CalibrationText, text_digest
from convert.errors import UnsupportedTokenizerError
from convert.familiar_text import familiar_text, letters_in
from golden import texts
from tests.support.runs import TINY_LLAMA

PASSAGES = texts.prompts(SHIPPED)


def passages_of(text: CalibrationText, tokens):
    """Numbers of the passages that its sequences are beginnings of."""
    return [
        next(
            number
            for number, whole in enumerate(tokens)
            if tuple(whole[: len(sequence)]) == sequence
        )
        for sequence in text.sequences
    ]


def by_letters(per_token):
    """A tokenizer with so many characters a token where a passage has such a character."""

    def tokenize(folder, passages):
        return [
            [1 + number] * (1 + len(text) // max(n for c, n in per_token.items() if c in text))
            for number, text in enumerate(passages)
        ]

    return tokenize


def test_passages_are_those_that_take_fewest_tokens(monkeypatch):
    tokenize = by_letters({"": 1, "ü": 4, "й": 3})
    monkeypatch.setattr(module, "tokenize", tokenize)
    found = familiar_text(TINY_LLAMA, sequence_tokens=128, most_tokens=64)
    assert found.sha256 == text_digest(None)
    chosen = [PASSAGES[n] for n in passages_of(found, tokenize(None, PASSAGES))]
    assert len(chosen) == 2
    assert all("ü" in text or "й" in text for text in chosen)


def test_a_tokenizer_made_for_chinese_reads_chinese(monkeypatch):
    tokenize = by_letters({"": 1, "e": 5, "的": 2})
    monkeypatch.setattr(module, "tokenize", tokenize)
    found = familiar_text(TINY_LLAMA, sequence_tokens=128, most_tokens=32)
    [number] = passages_of(found, tokenize(None, PASSAGES))
    assert "的" in PASSAGES[number]


@pytest.mark.parametrize(("most", "sequences"), [(16, 1), (128, 4), (10_000, len(PASSAGES))])
def test_as_many_passages_as_tokens_are_wanted(most, sequences):
    found = familiar_text(TINY_LLAMA, sequence_tokens=128, most_tokens=most)
    lengths = [len(each) for each in found.sequences]
    assert len(lengths) == sequences
    assert max(lengths) <= 128
    assert sum(lengths) <= most
    assert familiar_text(TINY_LLAMA, sequence_tokens=128, most_tokens=most) == found


def test_an_ideograph_says_as_much_as_some_letters():
    assert letters_in("tea 茶") == 4 + module.IDEOGRAPH


def test_without_a_tokenizer_there_is_no_text(tmp_path):
    with pytest.raises(UnsupportedTokenizerError):
        familiar_text(tmp_path, sequence_tokens=8, most_tokens=8)
