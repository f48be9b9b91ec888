"""SentencePiece in llama.cpp gives the ids of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from targets.gguf.checkpoint_vocabulary import proven_vocabulary
from tests.targets.gguf.checkpoints import sentencepiece

VOCABULARY = 1203


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentencepiece(tmp_path_factory.mktemp("spm") / "tokenizer.model", size=1200)


def llama_folder(folder: Path, model_file: Path, *, keep: str) -> Path:
    """A Llama 2 tokenizer's folder with tokenizer.model, tokenizer.json or both."""
    from transformers import LlamaTokenizerFast

    (folder / "tokenizer.model").write_bytes(model_file.read_bytes())
    LlamaTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    for name in ("tokenizer.model", "tokenizer.json"):
        if keep not in (name, "both"):
            (folder / name).unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("keep", ["both", "tokenizer.json", "tokenizer.model"])
def test_ids_are_proven(keep: str, tmp_path: Path, model_file: Path) -> None:
    vocabulary, notes = proven_vocabulary(llama_folder(tmp_path, model_file, keep=keep), VOCABULARY)
    assert (vocabulary.model, vocabulary.pre) == ("llama", "default")
    assert vocabulary.space_prefix
    assert len(notes) == 2
    assert "begins with" in notes[0]
    assert "special tokens" in notes[1]
    assert vocabulary.tokens[-1] == f"[PAD{VOCABULARY - 1}]"
    assert vocabulary.types[:4] == (2, 3, 3, 6)


def test_no_space_in_front_is_carried(tmp_path: Path, model_file: Path) -> None:
    folder = llama_folder(tmp_path, model_file, keep="tokenizer.json")
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    state["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    state["pre_tokenizer"] = None
    path.write_text(json.dumps(state))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    vocabulary, _ = proven_vocabulary(folder, VOCABULARY)
    assert not vocabulary.space_prefix
