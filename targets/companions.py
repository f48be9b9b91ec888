"""The small files beside the weights: config.json, generation settings, the tokenizer's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.errors import BrokenInputError, UnsupportedTokenizerError
from targets.base import OutputFile, Source

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
"""What a Hugging Face tokenizer may be made of."""

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")

_MACHINE_OR_CODE_KEYS = frozenset({"_name_or_path", "name_or_path", "auto_map"})
"""Keys that hold a path of the machine that saved the file, or ask for code of the hub."""


def json_file(path: str, content: Mapping[str, Any]) -> OutputFile:
    """A JSON file of the artifact; the same content gives the same bytes."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return OutputFile.whole(path, (text + "\n").encode())


def portable_config(raw_config: Mapping[str, Any]) -> dict[str, Any]:
    """``config.json`` without paths of the machine that saved it and without remote code."""
    return {key: raw_config[key] for key in raw_config if key not in _MACHINE_OR_CODE_KEYS}


def older_config(source: Source, torch_dtype: str) -> dict[str, Any]:
    """config.json in the dialect that transformers 4 and 5 both read.

    transformers 4 knows ``torch_dtype``, ``rope_theta`` and ``rope_scaling`` but, up to 4.55 at
    least, not the ``dtype`` and ``rope_parameters`` that transformers 5 writes, and falls back to
    defaults without a word. transformers 5 reads the older keys as well.

    Args:
        source: The checkpoint.
        torch_dtype: What to load the weights in: ``bfloat16``, ...
    """
    config = portable_config(source.raw_config)
    config.pop("dtype", None)
    config["torch_dtype"] = torch_dtype
    config["tie_word_embeddings"] = source.config.tied
    parameters = config.pop("rope_parameters", None)
    if parameters is not None:
        scaling = {key: parameters[key] for key in parameters if key != "rope_theta"}
        scaled = scaling.get("rope_type", "default") != "default"
        config["rope_scaling"] = scaling if scaled else None
    if source.config.rope is not None:
        config["rope_theta"] = source.config.rope.theta
    return config


def generation_config(folder: Path) -> dict[str, Any] | None:
    """The checkpoint's ``generation_config.json``; None if it has none.

    Raises:
        BrokenInputError: The file is no JSON object.
    """
    path = folder / "generation_config.json"
    return portable_config(_read_object(path)) if path.is_file() else None


def tokenizer_files(folder: Path) -> tuple[OutputFile, ...]:
    """The checkpoint's tokenizer, to be carried over as it is.

    Raises:
        UnsupportedTokenizerError: There is none, or it needs code from the checkpoint.
        BrokenInputError: ``tokenizer_config.json`` is no JSON object.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise UnsupportedTokenizerError(
            "the checkpoint has no tokenizer",
            expected=f"one of {', '.join(_VOCABULARIES)}",
            remedy="add the tokenizer's files, or convert the weights alone with --no-tokenizer",
        )
    settings = folder / "tokenizer_config.json"
    if settings.is_file() and "auto_map" in _read_object(settings):
        raise UnsupportedTokenizerError(
            "the tokenizer needs code from the checkpoint, which is never executed",
            found="auto_map in tokenizer_config.json",
            remedy="convert the weights alone with --no-tokenizer",
        )
    return tuple(
        OutputFile.whole(name, (folder / name).read_bytes())
        for name in TOKENIZER_FILES
        if (folder / name).is_file()
    )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenInputError(f"{path.name} is not JSON", found=str(error)) from error
    if not isinstance(content, dict):
        raise BrokenInputError(f"{path.name} is not a JSON object", found=type(content).__name__)
    return content
