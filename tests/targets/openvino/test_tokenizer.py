"""The converted tokenizer gives the ids and chats that transformers gives."""

from __future__ import annotations

import re

import pytest
from transformers import AutoTokenizer

from convert.errors import UnsupportedTokenizerError
from targets.openvino.run import OpenVinoRunner
from targets.openvino.tokenizer import converted_tokenizer
from tests.support.models import small_model
from tests.targets.openvino.artifacts import FUSING, convert, tokenizer_checkpoint

TEXTS = (
    "the quick brown fox",
    "  leading, 12345 digits\tand\n\nlines ",
    "accents éàü, 中文, emoji 🙂",
)
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "jump over\nthe dog"},
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tokenizer_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def runner(checkpoint, tmp_path_factory):
    pytest.importorskip("openvino_genai")
    model = small_model("llama", **FUSING)
    folder = tmp_path_factory.mktemp("artifact")
    convert(model, folder, checkpoint=checkpoint, tokenizer=True)
    return OpenVinoRunner(folder, threads=2)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_transformers(runner, checkpoint, text):
    original = AutoTokenizer.from_pretrained(checkpoint)
    assert runner.tokenize(text) == original.encode(text, add_special_tokens=False)


def test_the_chat_template_is_rendered_as_transformers_does(runner, checkpoint):
    original = AutoTokenizer.from_pretrained(checkpoint)
    expected = original.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    assert runner.chat(TURNS) == expected


def test_names_hold_no_counters_of_the_process(checkpoint):
    files = {
        file.path: file.segments[0][1].decode()
        for file in converted_tokenizer(checkpoint)
        if file.path.endswith(".xml")
    }
    for xml in files.values():
        assert not re.search(r'name="[A-Za-z]+_\d+"', xml)
        assert not re.search(r'names="[^"]*[A-Z][A-Za-z]+_\d+', xml)
        assert str(checkpoint) not in xml


def test_a_checkpoint_without_one_is_refused(tmp_path):
    with pytest.raises(UnsupportedTokenizerError, match="cannot be loaded"):
        list(converted_tokenizer(tmp_path))


def test_one_without_a_form_is_refused(checkpoint, monkeypatch):
    def no_form(*_, **__):
        raise NotImplementedError("no such normalizer")

    monkeypatch.setattr("openvino_tokenizers.convert_tokenizer", no_form)
    with pytest.raises(UnsupportedTokenizerError, match="no form") as caught:
        list(converted_tokenizer(checkpoint))
    assert "no such normalizer" in str(caught.value)
