"""The calibration text, cut into sequences by the model's own tokenizer."""

from __future__ import annotations

import hashlib
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert import calibration_text as module
from convert.calibration_text import (
    MOST_TOKENS,
    SHIPPED,
    SHORTEST_TOKENS,
    calibration_text,
    spread,
    text_digest,
    tokenize,
)
from convert.errors import MissingFileError, UnsupportedTokenizerError, UsageError
from golden import texts
from tests.support.runs import ROOT, TINY_LLAMA
from tests.support.tokenizer import save_tokenizer

TINY_YUAN = ROOT / "golden" / "models" / "tiny-yuan2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_the_shipped_text_is_none_of_the_gates_prompts():
    shipped = texts.prompts(SHIPPED)
    assert len(shipped) >= 12
    assert 8_000 < SHIPPED.stat().st_size < 12_000
    assert not set(shipped) & set(texts.prompts())
    assert sum(not text.isascii() for text in shipped) >= 6


def test_the_shipped_text_gives_sequences_of_every_passage():
    read = calibration_text(TINY_LLAMA)
    assert read.sha256 == hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == text_digest(None)
    assert len(read.sequences) >= len(texts.prompts(SHIPPED))
    assert 0.9 * MOST_TOKENS < sum(map(len, read.sequences)) <= MOST_TOKENS


def test_tokens_are_those_of_transformers():
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(TINY_LLAMA)
    passages = texts.prompts(SHIPPED)[:4]
    assert tokenize(TINY_LLAMA, passages) == [own(text)["input_ids"] for text in passages]


@pytest.mark.slow  # transformers is imported in a process of its own
def test_a_tokenizer_without_tokenizer_json_is_read_by_transformers():
    from golden import tokenization

    own = tokenization.load(TINY_YUAN)
    passages = texts.prompts(SHIPPED)[:2]
    found = tokenize(TINY_YUAN, passages)
    assert found == [tokenization.prompt_ids(own, text) for text in passages]


def test_a_users_text_is_cut_at_its_lines_and_at_the_longest_sequence(folder, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("a" * 25 + "\n---\n" + "b" * 4)
    read = calibration_text(folder, path, sequence_tokens=10)
    assert [len(sequence) for sequence in read.sequences] == [10, 10, 5, 4]
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_a_book_a_few_pages_are_tokenized(folder, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        module, "tokenize", lambda _, texts: [read.append(text) or [1] * 90 for text in texts]
    )
    path = tmp_path / "book.txt"
    path.write_text("word " * 400_000)
    found = calibration_text(folder, path)
    assert len(read) == MOST_TOKENS // SHORTEST_TOKENS
    assert max(map(len, read)) <= module.PASSAGE_CHARACTERS
    assert sum(map(len, found.sequences)) <= MOST_TOKENS


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 2000))
def test_a_part_is_within_its_limit_and_begins_pieces_in_order(lengths, most):
    pieces = [tuple(range(number, number + length)) for number, length in enumerate(lengths)]
    taken = spread(pieces, most)
    assert 0 < sum(map(len, taken)) <= most
    firsts = [piece[0] for piece in taken]
    assert firsts == sorted(set(firsts))
    assert all(piece == pieces[piece[0]][: len(piece)] for piece in taken)
    if sum(lengths) <= most and SHORTEST_TOKENS * len(lengths) <= most:
        assert taken == pieces


def test_of_many_pieces_those_are_taken_that_lie_evenly():
    pieces = [(number,) * 100 for number in range(100)]
    assert [piece[0] for piece in spread(pieces, 10 * SHORTEST_TOKENS)] == list(range(0, 100, 10))


def test_a_text_that_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.txt"):
        calibration_text(folder, tmp_path / "gone.txt")


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff\xfe\xff"])
def test_a_text_without_text_is_refused(folder, tmp_path, data):
    path = tmp_path / "empty.txt"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"empty\.txt"):
        calibration_text(folder, path)


def test_a_broken_tokenizer_is_reported(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "broken")
    (tmp_path / "broken" / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedTokenizerError, match=r"tokenizer\.json"):
        calibration_text(tmp_path / "broken")


@pytest.mark.slow  # transformers is imported in a process of its own
def test_no_tokenizer_is_reported(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnsupportedTokenizerError):
        calibration_text(tmp_path)
