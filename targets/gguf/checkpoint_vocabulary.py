"""From a checkpoint's tokenizer to a proven vocabulary, or to the one that was proven before."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.errors import UnsupportedTokenizerError
from targets.gguf.byte_level import byte_level_candidates, is_byte_level, known_cuts
from targets.gguf.proof import proven
from targets.gguf.spm import is_sentencepiece, sentencepiece_candidates
from targets.gguf.tokenizer import Tokenizer
from targets.gguf.unigram import is_unigram, unigram_candidates
from targets.gguf.vocabulary import Vocabulary
from targets.tokenizer_cache import remembered
from targets.without_torch import call

_PACKAGES = ("transformers", "tokenizers", "sentencepiece", "gguf", "llama-cpp-python")
_FILE = "vocabulary.json"


def vocabulary_of(folder: Path, rows: int) -> tuple[Vocabulary, list[str]]:
    """The checkpoint's tokenizer as llama.cpp runs it, and what a user should know of it.

    Args:
        folder: Of the checkpoint.
        rows: Rows of the embedding.

    Raises:
        UnsupportedTokenizerError: There is none, or llama.cpp would give other ids.
    """

    def make() -> Mapping[str, bytes]:
        vocabulary, notes = call(proven_vocabulary, folder.resolve(), rows)
        return {_FILE: json.dumps([dataclasses.asdict(vocabulary), notes]).encode()}

    kept = remembered(f"gguf vocabulary of {rows} rows", folder, _PACKAGES, make)
    fields, notes = json.loads(kept[_FILE])
    return Vocabulary(**{name: _frozen(value) for name, value in fields.items()}), notes


def proven_vocabulary(folder: Path, rows: int) -> tuple[Vocabulary, list[str]]:
    """The same as `vocabulary_of`, worked out in this process."""
    tokenizer = Tokenizer.load(folder)
    if is_byte_level(tokenizer.state):
        candidates = byte_level_candidates(tokenizer, rows)
    elif is_sentencepiece(tokenizer.state):
        candidates = sentencepiece_candidates(tokenizer, rows)
    elif is_unigram(tokenizer.state):
        candidates = unigram_candidates(tokenizer, rows)
    else:
        raise UnsupportedTokenizerError(
            "llama.cpp has no tokenizer of this kind",
            expected="byte-level BPE, or SentencePiece BPE with byte fallback or unigram",
            found=f"model {tokenizer.state['model']['type']}",
        )
    complete = [
        dataclasses.replace(
            candidate,
            ids=tokenizer.special_ids(),
            adds=tokenizer.adds(),
            chat_templates=tokenizer.chat_templates(),
        )
        for candidate in candidates
    ]
    try:
        return proven(complete, tokenizer)
    except UnsupportedTokenizerError as error:
        if not is_byte_level(tokenizer.state) or known_cuts(tokenizer):
            raise
        raise UnsupportedTokenizerError(
            "llama.cpp has no pre-tokenizer that cuts text as this tokenizer does",
            expected="one that gives the same ids for every text",
            found=f"{str(tokenizer.state['pre_tokenizer'])[:400]}; {error.found}",
            remedy="choose another target for this model",
        ) from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
