"""What a runner does with text, where the artifact carries a Hugging Face tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from targets.hf_tokenizer import HfTokenizer
from targets.runner import Message, Runner


class TokenizedRunner(Runner):
    """Text goes through the tokenizer that lies in the artifact's folder, if there is one.

    Args:
        artifact: The folder.

    Raises:
        RunnerCrashedError: transformers cannot load the tokenizer.
    """

    def __init__(self, artifact: Path) -> None:
        self._tokenizer = HfTokenizer.load(artifact)

    def tokenize(self, text: str) -> list[int] | None:
        return self._tokenizer.encode(text) if self._tokenizer else None

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int] | None:
        return self._tokenizer.prompt_ids(text, rendered=rendered) if self._tokenizer else None

    def detokenize(self, ids: Sequence[int]) -> str | None:
        return self._tokenizer.decode(ids) if self._tokenizer else None

    def chat(self, messages: Sequence[Message]) -> str | None:
        return self._tokenizer.chat(messages) if self._tokenizer else None
