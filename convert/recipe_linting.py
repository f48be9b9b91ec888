"""Finds what is wrong with a recipe before a run does, with the line where it stands.

The schema is only the half of it: targets must exist, store the encodings and take the options, and
files must be there. No model is needed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from convert.bounded_yaml import read_yaml
from convert.errors import TricastError
from convert.recipe import Artifact, Recipe, placed_faults
from convert.recipe_marks import Mark, marks

Place = tuple["str | int", ...]
"""Keys and indices from the document to a value."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is wrong.

    Args:
        file: The recipe.
        line: Where, from 1.
        column: Likewise.
        message: What, on one line.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Its parts by name."""
        return asdict(self)


def lint(path: Path) -> tuple[Finding, ...]:
    """Everything that is wrong with a recipe's file, in the order of its lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return (_finding(path, Mark(1, 1), f"cannot be read: {error}"),)
    return lint_text(text, path)


def lint_text(text: str, path: Path) -> tuple[Finding, ...]:
    """As `lint`, of a text that is, or will be, in the file ``path``."""
    try:
        document = read_yaml(text)
        places = marks(text)
    except yaml.YAMLError as error:
        return (_finding(path, *_not_yaml(error)),)
    except (RecursionError, ValueError) as error:
        return (_finding(path, Mark(1, 1), f"is not YAML that a recipe can be: {error}"),)
    if not isinstance(document, dict):
        what = f"is not a mapping but {type(document).__name__}"
        return (_finding(path, places.of(()), what),)
    found = [
        _finding(path, mark, f"{_dotted(place)} is there twice; the last one counts")
        for place, mark in places.twice
    ]
    faults = _schema_faults(document) or list(_meaning_faults(document, path.parent))
    found += [
        _finding(path, places.of(place), f"{_dotted(place)}: {what}") for place, what in faults
    ]
    return tuple(sorted(set(found)))


def _not_yaml(error: yaml.YAMLError) -> tuple[Mark, str]:
    mark = getattr(error, "problem_mark", None)
    at = Mark(1, 1) if mark is None else Mark(mark.line + 1, mark.column + 1)
    return at, f"is not YAML: {getattr(error, 'problem', None) or error}"


def _schema_faults(document: dict[str, Any]) -> list[tuple[Place, str]]:
    try:
        Recipe.model_validate(document)
    except ValidationError as error:
        found = placed_faults(error)
    except RecursionError:
        return [((), "is nested too deep")]
    else:
        return []
    # A list whose items are wrong is also reported as too short.
    return [
        (place, what)
        for place, what in found
        if not any(len(other) > len(place) and other[: len(place)] == place for other, _ in found)
    ]


def _meaning_faults(document: dict[str, Any], folder: Path) -> Iterator[tuple[Place, str]]:
    """What a run would refuse of a recipe that follows the schema."""
    recipe = Recipe.model_validate(document)
    files: dict[Place, str | None] = {
        ("prompts",): recipe.prompts,
        ("calibrate",): recipe.calibration_file,
        ("imatrix",): recipe.imatrix,
        **{("lora", index): name for index, name in enumerate(recipe.lora)},
    }
    for place, name in files.items():
        if name is not None and not (folder / name).exists():
            yield place, f"there is no {name} beside the recipe"
    for index, artifact in enumerate(recipe.artifacts):
        for place, what in _artifact_faults(artifact):
            yield ("artifacts", index, *place), what


def _artifact_faults(artifact: Artifact) -> Iterator[tuple[Place, str]]:
    from convert.gating import thresholds
    from convert.preparation import deployment_options, main_encoding, resolve_encoding
    from passes.catalogue import added_pass
    from passes.encodings import encoding
    from targets import target

    wrong = _refusal(lambda: target(artifact.format))
    if wrong is not None:
        yield ("format",), wrong
        return
    into = target(artifact.format)
    wrong = _refusal(lambda: resolve_encoding(artifact))
    if wrong is not None:
        yield ("encoding",), wrong
        return
    options = _refusal(lambda: into.passes(deployment_options(artifact)))
    if options is not None:
        yield ("options",), options
    resolved = resolve_encoding(artifact)
    named: dict[Place, str | None] = {
        ("embeddings",): artifact.embeddings,
        ("head",): artifact.head,
    }
    for index, override in enumerate(artifact.overrides):
        named["overrides", index, "encoding"] = override.encoding
    for index, candidate in enumerate(artifact.candidates):
        named["candidates", index] = candidate
    for place, name in named.items():
        wrong = None if name is None else _not_stored(name, into.encodings, encoding)
        if wrong is not None:
            yield place, wrong
    for index, asked in enumerate(artifact.passes):
        wrong = _refusal(functools.partial(added_pass, asked))
        if wrong is not None:
            yield ("passes", index), wrong
    wrong = _refusal(lambda: (thresholds(resolved), main_encoding(resolved)))
    if wrong is not None:
        yield ("gate",), wrong


def _not_stored(name: str, stored: Sequence[str], encoding: Callable[[str], Any]) -> str | None:
    wrong = _refusal(lambda: encoding(name))
    if wrong is not None or {name, encoding(name).family} & set(stored):
        return wrong
    return f"the target does not store {name}; one of {', '.join(stored)}"


def _refusal(attempt: Callable[[], object]) -> str | None:
    """What an attempt is refused with, if it is."""
    try:
        attempt()
    except TricastError as error:
        details = (("expected", error.expected), ("found", error.found))
        return "; ".join([error.what, *(f"{label} {text}" for label, text in details if text)])
    return None


def _finding(path: Path, mark: Mark, message: str) -> Finding:
    return Finding(str(path), mark.line, mark.column, re.sub(r"\s+", " ", message).strip())


def _dotted(place: Place) -> str:
    return ".".join(map(str, place)) or "recipe"
