"""What is read of a checkpoint's tokenizer: special ids, added tokens, what ends a generation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import processors

from convert.errors import BrokenInputError, UnsupportedTokenizerError
from targets.gguf.tokenizer import Tokenizer, ending_ids, read_json
from targets.gguf.tokens import listed_tokens, looks_special
from tests.targets.gguf.checkpoints import SPECIALS, TEMPLATE, byte_level, save_tokenizer


def test_special_ids_and_template(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(save_tokenizer(byte_level("gpt2"), tmp_path))
    assert tokenizer.special_ids() == {"bos": 0, "eos": 2, "pad": 0}
    assert tokenizer.adds() == {"bos": False, "eos": False}
    assert tokenizer.chat_templates() == {"default": TEMPLATE}


def test_what_is_added_around_a_text_is_observed(tmp_path: Path) -> None:
    plain = byte_level("gpt2")
    plain.post_processor = processors.TemplateProcessing(
        single=f"{SPECIALS[0]} $A", special_tokens=[(SPECIALS[0], 0)]
    )
    tokenizer = Tokenizer.load(save_tokenizer(plain, tmp_path))
    assert tokenizer.adds() == {"bos": True, "eos": False}


def test_ids_of_config_json_fill_in(tmp_path: Path) -> None:
    save_tokenizer(byte_level("gpt2"), tmp_path, bos_token=None)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "bos_token_id": 1}')
    assert Tokenizer.load(tmp_path).special_ids()["bos"] == 1


def test_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTokenizerError, match="no tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UnsupportedTokenizerError, match="cannot load"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(("value", "expected"), [(2, [2]), ([2, 7], [2, 7]), (None, [5])])
def test_ending_ids(value: object, expected: list[int], tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
    (tmp_path / "config.json").write_text('{"eos_token_id": 5}')
    assert ending_ids(tmp_path) == expected


def test_json_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert read_json(path) == {}
    for text, message in (("{", "is not JSON"), ("[]", "not a JSON object")):
        path.write_text(text)
        with pytest.raises(BrokenInputError, match=message):
            read_json(path)


def test_more_tokens_than_rows_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(save_tokenizer(byte_level("gpt2"), tmp_path))
    with pytest.raises(UnsupportedTokenizerError, match="no embedding"):
        listed_tokens(tokenizer, 300)


@pytest.mark.parametrize(("text", "special"), [("<|x|>", True), ("<pad>", True), ("<b>", False)])
def test_tokens_that_look_special(text: str, special: bool) -> None:
    assert looks_special(text) == special
