"""A vocabulary is proven once; what is kept is the vocabulary itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.errors import UnsupportedTokenizerError
from targets.gguf import checkpoint_vocabulary as module
from tests.targets.gguf.checkpoints import VOCABULARY, byte_level, save_tokenizer


def test_the_proven_vocabulary_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tokenizer(byte_level("smollm"), tmp_path)
    first = module.vocabulary_of(tmp_path, VOCABULARY)
    monkeypatch.setattr(module, "call", None)
    assert module.vocabulary_of(tmp_path, VOCABULARY) == first
    assert first == module.proven_vocabulary(tmp_path, VOCABULARY)


def test_a_refusal_passes_and_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(UnsupportedTokenizerError, match="has no tokenizer"):
            module.vocabulary_of(tmp_path, VOCABULARY)
    save_tokenizer(byte_level("smollm"), tmp_path)
    assert module.vocabulary_of(tmp_path, VOCABULARY)[0].pre == "smollm"


def test_words_with_marked_continuations_are_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast"}'
    )
    with pytest.raises(UnsupportedTokenizerError, match="WordPiece"):
        module.proven_vocabulary(tmp_path, VOCABULARY)
