"""Every runner of the target tokenizes with what lies in the artifact's folder."""

from __future__ import annotations

import pytest

from targets.hf_tokenizer import HfTokenizer
from targets.openvino.tokenizer import tokenizer_models
from targets.openvino.tokenizing import TokenizingRunner
from tests.support.runs import TINY_LLAMA
from tests.support.tokenizer import save_tokenizer


class TextOnly(TokenizingRunner):
    """A runner without a model."""

    def reset(self):
        """Nothing to forget."""

    def feed(self, ids):
        raise NotImplementedError


def test_text_becomes_the_ids_of_the_original(tmp_path):
    from transformers import AutoTokenizer

    for file in tokenizer_models(TINY_LLAMA):
        (tmp_path / file.path).write_bytes(file.segments[0][1])
    text = "Once upon a time, in 1987"
    expected = AutoTokenizer.from_pretrained(TINY_LLAMA).encode(text, add_special_tokens=False)
    assert TextOnly(tmp_path).tokenize(text) == expected
    assert TextOnly(tmp_path).detokenize(expected) == text


@pytest.mark.parametrize("around", [False, True])
def test_a_prompt_is_what_the_original_makes_of_it_but_for_its_end(tmp_path, around):
    folder = save_tokenizer(tmp_path, around=around)
    for file in tokenizer_models(folder):
        (tmp_path / file.path).write_bytes(file.segments[0][1])
    original, runner = HfTokenizer.load(folder), TextOnly(tmp_path)
    for text in ("ab", "<s>a</s>", "a</s> b"):
        for rendered in (False, True):
            expected = original.prompt_ids(text, rendered=rendered)
            assert runner.prompt_ids(text, rendered=rendered) == expected
    assert runner.detokenize([0, *original.encode("ab"), 1]) == "ab"


def test_a_folder_without_a_tokenizer(tmp_path):
    assert TextOnly(tmp_path).tokenize("text") is None
    assert TextOnly(tmp_path).chat([{"role": "user", "content": "text"}]) is None
