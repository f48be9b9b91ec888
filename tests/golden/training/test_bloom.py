"""A tokenizer of BLOOM's form: any text survives, and is cut where BLOOM's is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.training import corpus
from golden.training.bloom import SPECIAL_TOKENS, stored_name, train_tokenizer

VOCABULARY = 400


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus.text_of(1, 20_000), vocabulary=VOCABULARY, longest=64)


def test_special_tokens_come_first(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3]
    named = (tokenizer.unk_token, tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
    assert named == SPECIAL_TOKENS
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("left", 64)


@settings(deadline=None)
@given(text=st.text())
def test_any_text_survives_and_nothing_is_added(tokenizer, text):
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("in 1984", ["in", "Ġ1984"]),
        ("it's so", ["it's", "Ġso"]),
        ("a  b", ["a", "Ġ", "Ġb"]),
        ("a (b)", ["a", "Ġ(", "b", ")"]),
        ("a|b [c]", ["a", "|", "b", "Ġ[c]"]),
        ("end.\n\nNew", ["end", ".ĊĊ", "New"]),
        ("a。b،c", ["a", "ãĢĤ", "b", "ØĮ", "c"]),
    ],
)
def test_text_is_cut_before_merging(tokenizer, text, pieces):
    cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert [piece for piece, _ in cut] == pieces


def test_a_file_holds_the_structure_by_which_it_is_recognized(tokenizer):
    pre = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"]["pretokenizers"]
    assert [part["type"] for part in pre] == ["Split", "ByteLevel"]
    assert pre[0]["pattern"] == {"Regex": r" ?[^(\s|[.,!?…。，、।۔،])]+"}  # noqa: RUF001
    assert (pre[0]["behavior"], pre[0]["invert"]) == ("Isolated", False)
    assert (pre[1]["add_prefix_space"], pre[1]["use_regex"]) == (False, False)


def test_training_twice_gives_the_same_tokenizer(tokenizer):
    again = train_tokenizer(corpus.text_of(1, 20_000), vocabulary=VOCABULARY, longest=64)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_only_the_prefix_of_the_inner_model_is_left_out():
    assert stored_name("transformer.h.0.mlp.dense_h_to_4h.weight") == "h.0.mlp.dense_h_to_4h.weight"
    assert stored_name("lm_head.weight") == "lm_head.weight"
