"""What the JSON files of an artifact say of generation: where it ends, how long it may get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convert.errors import RunnerCrashedError

GENERATION_CONFIG, CONFIG = "generation_config.json", "config.json"


def stop_ids(folder: Path) -> frozenset[int]:
    """The end-of-sequence ids that transformers' generation would end at.

    Raises:
        RunnerCrashedError: A file is no JSON object.
    """
    for name in (GENERATION_CONFIG, CONFIG):
        given = _read(folder / name).get("eos_token_id")
        if given is not None:
            ids = given if isinstance(given, list) else [given]
            return frozenset(token for token in ids if isinstance(token, int))
    return frozenset()


def longest_sequence(folder: Path) -> int | None:
    """The tokens that the model has positions for; None where positions have no end.

    Raises:
        RunnerCrashedError: The file is no JSON object.
    """
    given = _read(folder / CONFIG).get("max_position_embeddings")
    return given if isinstance(given, int) and given > 0 else None


def _read(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunnerCrashedError(f"{path.name} is not JSON", found=str(error)) from error
    if not isinstance(content, dict):
        raise RunnerCrashedError(f"{path.name} is not a JSON object")
    return content
