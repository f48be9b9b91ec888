"""Every runner of the target tokenizes with what lies in the artifact's folder."""

from __future__ import annotations

from targets.openvino.tokenizer import tokenizer_models
from targets.openvino.tokenizing import TokenizingRunner
from tests.support.runs import TINY_LLAMA


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


def test_a_folder_without_a_tokenizer(tmp_path):
    assert TextOnly(tmp_path).tokenize("text") is None
    assert TextOnly(tmp_path).chat([{"role": "user", "content": "text"}]) is None
