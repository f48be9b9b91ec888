"""The artifact's own tokenizer and chat template, as LLM pipelines use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.errors import UsageError
from targets.base import Message, Runner
from targets.openvino.known_differences import known_difference


class TokenizingRunner(Runner):
    """What every runner of an artifact of this target does with text.

    Args:
        artifact: Folder; with ``openvino_tokenizer.xml``, if it carries a tokenizer.
    """

    def __init__(self, artifact: Path) -> None:
        self._artifact = artifact

    def tokenize(self, text: str) -> list[int] | None:
        if self._tokenizer is None:
            return None
        ids = self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0]
        return [int(token) for token in ids]

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int] | None:
        if self._tokenizer is None:
            return None
        encoded = self._tokenizer.encode(text, add_special_tokens=not rendered)
        ids = [int(token) for token in encoded.input_ids.data[0]]
        added = not rendered and len(ids) > 1 and ids[-1] == self._tokenizer.get_eos_token_id()
        return ids[:-1] if added and not text.endswith(self._tokenizer.get_eos_token()) else ids

    def detokenize(self, ids: Sequence[int]) -> str | None:
        return None if self._tokenizer is None else str(self._tokenizer.decode(list(ids)))

    def known_difference(self, text: str, tokenizer: Mapping[str, Any]) -> str | None:
        return known_difference(text, tokenizer)

    def chat(self, messages: Sequence[Message]) -> str | None:
        if self._tokenizer is None or not self._tokenizer.chat_template:
            return None
        turns = [dict(message) for message in messages]
        return str(self._tokenizer.apply_chat_template(turns, add_generation_prompt=True))

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer as LLM pipelines load it; None if the artifact carries none."""
        if not (self._artifact / "openvino_tokenizer.xml").is_file():
            return None
        try:
            from openvino_genai import Tokenizer
        except ImportError as error:
            raise UsageError(
                "the artifact's tokenizer runs in openvino_genai, which is not installed",
                remedy='pip install "tricast[xeon]"',
            ) from error
        return Tokenizer(self._artifact)
