"""The tokenizer of an artifact that transformers loads: ids of a text, and its chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert.errors import RunnerCrashedError
from targets.base import Message


class HfTokenizer:
    """A tokenizer loaded from local files alone; code in the folder is never executed.

    Args:
        tokenizer: A transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> HfTokenizer | None:
        """The tokenizer of ``folder``; None if the folder has none.

        Raises:
            RunnerCrashedError: transformers cannot load it.
        """
        if (
            not (folder / "tokenizer_config.json").is_file()
            and not (folder / "tokenizer.json").is_file()
        ):
            return None
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise RunnerCrashedError(
                "transformers cannot load the tokenizer of the artifact", found=str(error)
            ) from error
        return cls(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``: no special tokens added, none parsed out of the text."""
        ids = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        return list(ids["input_ids"])

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int]:
        """Ids of a prompt; see `targets.base.Runner.prompt_ids`."""
        ids: list[int] = list(self._tokenizer(text, add_special_tokens=not rendered)["input_ids"])
        added = not rendered and len(ids) > 1 and ids[-1] == self._tokenizer.eos_token_id
        return ids[:-1] if added and not text.endswith(self._tokenizer.eos_token) else ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def chat(self, messages: Sequence[Message]) -> str | None:
        """``messages`` as the chat template writes them, with the generation prompt.

        Returns:
            The text; None if there is no chat template.
        """
        if not self._tokenizer.chat_template:
            return None
        conversation = [dict(message) for message in messages]
        text = self._tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=True
        )
        return str(text)
