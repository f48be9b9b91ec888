"""A tokenizer trained on a little text encodes every text, and splits as llama.cpp does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.training import corpus
from golden.training.tokenizer import SPECIAL_TOKENS, train_tokenizer

VOCABULARY = 400


@pytest.fixture(scope="module")
def tokenizer():
    texts = corpus.text_of(1, 20_000)
    return train_tokenizer(texts, vocabulary=VOCABULARY, longest=64)


def test_the_vocabulary_has_the_size_asked_for(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert tokenizer.model_max_length == 64


def test_special_tokens_come_first(tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 2)


@settings(deadline=None)
@given(text=st.text())
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_training_twice_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(corpus.text_of(1, 20_000), vocabulary=VOCABULARY, longest=64)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("in 1984", ["in", "Ġ", "1", "9", "8", "4"]),
        ("it's so", ["it", "'s", "Ġso"]),
        ("a  b", ["a", "Ġ", "Ġb"]),
        ("end.\n\nNew", ["end", ".", "Ċ", "Ċ", "New"]),
    ],
)
def test_text_is_cut_before_merging(tokenizer, text, pieces):
    cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert [piece for piece, _ in cut] == pieces
