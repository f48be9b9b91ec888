"""Sensitivities kept beside the artifacts: another mix of the same model needs no measuring."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from passes.calibration.observations import tokens_digest
from passes.calibration.sensitivity import Asked, Sensitivity, Texts

_FORM = 1
"""Raised when the same checkpoint, texts and encodings would give other sensitivities."""

_DECISIVE_PACKAGES = ("numpy", "tokenizers", "transformers")

Figure = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Figures:
    errors: Mapping[str, Figure]
    measured: Mapping[str, Figure]


_ADAPTER = TypeAdapter(dict[str, _Figures])


def sensitivities_name(digest: str, texts: Texts, asked: Sequence[Asked]) -> str:
    """File name of sensitivities: the same exactly if it would hold the same.

    Args:
        digest: Of the whole checkpoint.
    """
    choices = [[one.name, [each.name for each in one.candidates], one.measured] for one in asked]
    read = [tokens_digest(texts.weighting), tokens_digest(texts.reading)]
    versions = [metadata.version(package) for package in _DECISIVE_PACKAGES]
    key = json.dumps([_FORM, digest, read, choices, versions])
    return f"sensitivities-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def load(path: Path) -> dict[str, Sensitivity]:
    """What was kept, by weight; of a file that is missing or damaged nothing."""
    try:
        found = _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
    return {name: Sensitivity(dict(one.errors), dict(one.measured)) for name, one in found.items()}


def keep(path: Path, found: Mapping[str, Sensitivity]) -> None:
    """Write a file that is whole under its name at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        name: {"errors": dict(one.errors), "measured": dict(one.measured)}
        for name, one in found.items()
    }
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
