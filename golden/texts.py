"""The texts that models are compared on: prompts, tokenizer parity texts, chats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from convert.errors import MissingFileError, UsageError

FOLDER = Path(__file__).parent
PROMPTS = FOLDER / "prompts.txt"
PARITY = FOLDER / "parity.txt"
CHATS = FOLDER / "chats.json"


def prompts(path: Path = PROMPTS) -> list[str]:
    """The prompts of a text file, separated by lines that hold ``---`` alone.

    Raises:
        MissingFileError: There is no such file.
        UsageError: The file is not UTF-8, or holds no prompt.
    """
    if not path.is_file():
        raise MissingFileError(f"there is no file of prompts {path.name}")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 text", found=str(error)) from error
    found = [part.strip("\r\n") for part in text.replace("\r\n", "\n").split("\n---\n")]
    found = [part for part in found if part.strip()]
    if not found:
        raise UsageError(
            f"{path.name} holds no prompt", expected="texts separated by lines of `---`"
        )
    return found


def parity_texts() -> list[str]:
    """The shipped texts for tokenizer parity."""
    lines = PARITY.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if not line.startswith("#")]


def chats() -> list[list[Mapping[str, str]]]:
    """The shipped chats, each a list of messages with ``role`` and ``content``."""
    found: list[list[Mapping[str, str]]] = json.loads(CHATS.read_text(encoding="utf-8"))
    return found
