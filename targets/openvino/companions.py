"""The files beside the IR: the configurations and the tokenizer's own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from convert.errors import BadHeaderError
from targets.base import OutputFile, Source
from targets.companions import portable_config

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
)

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def configuration_files(source: Source) -> Iterator[OutputFile]:
    """config.json, which asks for no code that is not there, and generation_config.json."""
    yield _json_file("config.json", portable_config(source.raw_config))
    yield _json_file("generation_config.json", generation_config(source))


def generation_config(source: Source) -> dict[str, Any]:
    """The checkpoint's generation_config.json, completed by config.json's special token ids.

    Without an ``eos_token_id`` in it the LLM pipeline does not generate.
    """
    path = source.folder / "generation_config.json"
    given: Any = {}
    if path.is_file():
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadHeaderError(f"{path.name} is not JSON", found=str(error)) from error
        if not isinstance(given, dict):
            raise BadHeaderError(f"{path.name} is not a JSON object")
    from_config = {name: source.raw_config.get(name) for name in SPECIAL_IDS}
    known = {name: value for name, value in from_config.items() if value is not None}
    return {**known, **given}


def tokenizer_files(source: Source) -> Iterator[OutputFile]:
    """The checkpoint's tokenizer files, byte for byte."""
    for name in TOKENIZER_FILES:
        path = source.folder / name
        if path.is_file():
            yield OutputFile.whole(name, path.read_bytes())


def _json_file(name: str, content: Any) -> OutputFile:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return OutputFile.whole(name, text.encode())
