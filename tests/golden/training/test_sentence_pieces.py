"""A tokenizer of sentence pieces: any text survives, added tokens stand alone, nothing is added."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.training import corpus
from golden.training.sentence_pieces import ADDED_TOKENS, train_sentence_pieces

PIECES = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pieces")


@pytest.fixture(scope="module")
def tokenizer(folder):
    texts = corpus.text_of(1, 20_000)
    return train_sentence_pieces(texts, folder, vocabulary=PIECES, longest=64)


def test_added_tokens_follow_the_pieces(tokenizer):
    ids = tokenizer.convert_tokens_to_ids(list(ADDED_TOKENS))
    assert ids == list(range(PIECES, PIECES + len(ADDED_TOKENS)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<eod>", "<pad>")
    assert tokenizer.model_max_length == 64


def test_added_tokens_are_found_in_a_text(tokenizer):
    ids = tokenizer("who<sep>me<eod>")["input_ids"]
    assert [ids.count(PIECES), ids.count(PIECES + 1)] == [1, 1]
    assert ids[-1] == PIECES


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters=" \u2581"), min_size=1))
def test_any_word_survives_and_nothing_is_added(tokenizer, text):
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_it_splits_as_sentencepiece_does(tokenizer, folder):
    import sentencepiece

    original = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    for text in ("In 1984 it rained.", "a  b", "Grüße 你好", "a\nb\tc"):
        assert tokenizer(text)["input_ids"] == original.encode(text)


def test_training_twice_gives_the_same_files(tokenizer, folder, tmp_path):
    train_sentence_pieces(corpus.text_of(1, 20_000), tmp_path, vocabulary=PIECES, longest=64)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["tokenizer.model", "tokenizer_config.json"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert json.loads((tmp_path / names[1]).read_text())["tokenizer_class"] == "LlamaTokenizer"
