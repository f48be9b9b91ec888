"""The checkpoint's tokenizer as transformers runs it: its state, its special tokens, its texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convert.errors import BrokenInputError, UnsupportedTokenizerError

_PROBE = "a"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer of transformers.

    Args:
        fast: A tokenizer with a Rust backend.
        folder: Where its files are.
    """

    fast: Any
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """The tokenizer of a checkpoint; code in the folder is never executed.

        Raises:
            UnsupportedTokenizerError: There is none, or transformers cannot load it.
        """
        names = ("tokenizer.json", "tokenizer.model", "vocab.json")
        if not any((folder / name).is_file() for name in names):
            raise UnsupportedTokenizerError(
                "the checkpoint has no tokenizer, and a GGUF cannot do without",
                expected=f"one of {', '.join(names)}",
                remedy="put the tokenizer's files beside the weights, or choose another target",
            )
        from transformers import AutoTokenizer

        try:
            fast = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise UnsupportedTokenizerError(
                "transformers cannot load the tokenizer", found=str(error)
            ) from error
        if getattr(fast, "backend_tokenizer", None) is None:
            raise UnsupportedTokenizerError(
                "the tokenizer is not one of the tokenizers package",
                expected="a BPE tokenizer with a tokenizer.json, or a SentencePiece model",
                found=type(fast).__name__,
            )
        return cls(fast, folder)

    @cached_property
    def state(self) -> dict[str, Any]:
        """What the backend would write to tokenizer.json."""
        state: dict[str, Any] = json.loads(self.fast.backend_tokenizer.to_str())
        return state

    @property
    def pre_tokenizer(self) -> Any:
        """The backend's pre-tokenizer; None if it has none."""
        return self.fast.backend_tokenizer.pre_tokenizer

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``: no special tokens added, none parsed out of the text."""
        ids = self.fast(text, add_special_tokens=False, split_special_tokens=True)
        return list(ids["input_ids"])

    def encode_marked(self, text: str) -> list[int]:
        """Ids of ``text``: no special tokens added, those in the text found."""
        return list(self.fast(text, add_special_tokens=False)["input_ids"])

    def decode(self, token: int) -> str:
        """Text of one token."""
        return str(self.fast.decode([token], clean_up_tokenization_spaces=False))

    def special_ids(self) -> dict[str, int]:
        """Ids by role: bos, eos, unk and pad by the tokenizer and else by config.json, others by
        the tokenizer alone.
        """
        config = read_json(self.folder / "config.json")
        found: dict[str, int] = {}
        for role in ("bos", "eos", "unk", "pad", "sep", "mask", "eot"):
            token = getattr(self.fast, f"{role}_token_id", None)
            if token is None and role not in ("sep", "mask", "eot"):
                token = config.get(f"{role}_token_id")
            if isinstance(token, list):
                token = token[0] if token else None
            if isinstance(token, int):
                found[role] = token
        return found

    def adds(self) -> dict[str, bool]:
        """Whether bos and eos are added around a text."""
        bare, full = self.encode(_PROBE), list(self.fast(_PROBE)["input_ids"])
        ids = self.special_ids()
        return {
            "bos": full[: len(full) - len(bare)][:1] == [ids.get("bos")] and full != bare,
            "eos": len(full) > len(bare) and full[-1:] == [ids.get("eos")],
        }

    def chat_templates(self) -> dict[str, str]:
        """Chat templates by name."""
        template = getattr(self.fast, "chat_template", None)
        if not template:
            return {}
        return dict(template) if isinstance(template, Mapping) else {"default": str(template)}

    def added_tokens(self) -> list[dict[str, Any]]:
        """``added_tokens`` of tokenizer.json: id, content, special and more, of each."""
        added: list[dict[str, Any]] = self.state["added_tokens"]
        return added


def ending_ids(folder: Path) -> list[int]:
    """Every token that ends a generation by generation_config.json or config.json."""
    for name in ("generation_config.json", "config.json"):
        wanted = read_json(folder / name).get("eos_token_id")
        if isinstance(wanted, int):
            return [wanted]
        if isinstance(wanted, Sequence):
            return [token for token in wanted if isinstance(token, int)]
    return []


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file.

    Raises:
        BrokenInputError: It is no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenInputError(f"{path.name} is not JSON", found=str(error)) from error
    if not isinstance(content, dict):
        raise BrokenInputError(f"{path.name} is not a JSON object", found=type(content).__name__)
    return content
