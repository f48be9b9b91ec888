"""The vocabulary of the small checkpoints is proven once, not for every test."""

from __future__ import annotations

import pytest

from targets.gguf import layout as module
from targets.gguf.checkpoint_vocabulary import proven_vocabulary as worked_out
from targets.gguf.vocabulary import Vocabulary
from tests.targets.gguf.checkpoints import VOCABULARY, byte_level, save_tokenizer


@pytest.fixture(scope="session")
def proven_vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(byte_level("smollm"), folder)
    return worked_out(folder, VOCABULARY)[0]


@pytest.fixture
def proven_once(monkeypatch: pytest.MonkeyPatch, proven_vocabulary: Vocabulary) -> None:
    monkeypatch.setattr(module, "vocabulary_of", lambda folder, rows: (proven_vocabulary, []))
