"""The proof finds differences, survives a crash, and says when there is none."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

from convert.errors import UnsupportedTokenizerError
from targets.gguf import native, proof, prove_vocab
from targets.gguf.header import header_bytes, new_writer
from targets.gguf.tokenizer import Tokenizer
from targets.gguf.vocabulary import Vocabulary, add_vocabulary
from tests.targets.gguf.checkpoints import byte_level, save_tokenizer


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return Tokenizer.load(save_tokenizer(byte_level("smollm"), tmp_path))


def test_the_candidate_that_proves_is_chosen(
    proven_vocabulary: Vocabulary, tokenizer: Tokenizer
) -> None:
    wrong = replace(proven_vocabulary, pre="gpt-2")
    chosen, notes = proof.proven([wrong, proven_vocabulary], tokenizer)
    assert chosen.pre == "smollm"
    assert notes == []


def test_a_wrong_one_is_refused_with_the_first_text_that_differs(
    proven_vocabulary: Vocabulary, tokenizer: Tokenizer
) -> None:
    wrong = replace(proven_vocabulary, pre="gpt-2")
    with pytest.raises(UnsupportedTokenizerError, match="does not tokenize") as caught:
        proof.proven([wrong], tokenizer)
    assert "from token" in str(caught.value)


def test_a_vocabulary_that_llama_cpp_refuses_is_no_crash(proven_vocabulary: Vocabulary) -> None:
    question = proof.Question(("a",), ((1,),), ())
    unknown = replace(proven_vocabulary, pre="no-such-name")
    assert "refuses" in (proof.ask(unknown, question).difference or "")


def test_tokens_that_must_end_a_generation_are_named(
    proven_vocabulary: Vocabulary, tokenizer: Tokenizer
) -> None:
    wanted = {"eos_token_id": [2, 0, 300, 301, 302]}
    (tokenizer.folder / "generation_config.json").write_text(json.dumps(wanted))
    chosen, notes = proof.proven([proven_vocabulary], tokenizer)
    # 0 is <|endoftext|>, which llama.cpp knows by its text.
    assert (chosen.ids["eot"], chosen.ids["eom"]) == (300, 301)
    assert notes == ["llama.cpp will not stop at the tokens [302]"]


def test_without_llama_cpp_the_structure_decides_and_says_so(
    proven_vocabulary: Vocabulary, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    chosen, notes = proof.proven([proven_vocabulary], tokenizer)
    assert chosen.pre == "smollm"
    assert "not proven" in notes[0]


def test_the_process_answers_in_json(
    proven_vocabulary: Vocabulary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    writer = new_writer("llama")
    add_vocabulary(writer, proven_vocabulary)
    path = tmp_path / "v.gguf"
    path.write_bytes(header_bytes(writer))
    monkeypatch.setattr("sys.argv", ["prove_vocab", str(path)])
    asked = {"texts": ["a", ""], "prompts": ["a"], "marked": ["<|im_end|>a"], "ids": [2, 9]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asked)))
    prove_vocab.main()
    answer = json.loads(capsys.readouterr().out)
    expected = native.tokenize(native.load_model(path, vocab_only=True), "a")
    assert answer == {
        "texts": [expected, []],
        "prompts": [expected],
        "marked": [[2, *expected]],
        "ending": [2],
    }


def test_named_templates_are_written_in_order(
    proven_vocabulary: Vocabulary, tmp_path: Path
) -> None:
    templates = {"tools": "T", "default": "D", "rag": "R"}
    writer = new_writer("llama")
    add_vocabulary(writer, replace(proven_vocabulary, chat_templates=templates))
    (tmp_path / "v.gguf").write_bytes(header_bytes(writer))
    fields = gguf.GGUFReader(tmp_path / "v.gguf").fields
    assert fields["tokenizer.chat_template"].contents() == "D"
    assert fields["tokenizer.chat_template.tools"].contents() == "T"
    assert fields["tokenizer.chat_templates"].contents() == ["rag", "tools"]
