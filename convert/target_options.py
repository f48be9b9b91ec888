"""Settings of targets, given on the command line: they go to the artifacts that take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from convert.bounded_yaml import read_yaml
from convert.errors import UsageError
from convert.recipe import Artifact, Recipe
from targets import target, target_names


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts; values are written as in a recipe: numbers, true, names.

    Raises:
        UsageError: One is not of that form, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"cannot read --set {text!r}", expected="KEY=VALUE, for example cards=8"
            )
        if name in settings:
            raise UsageError(
                f"{name} is set twice",
                found=f"{settings[name]!r} and {value!r}",
                remedy="drop one of them",
            )
        settings[name] = _value(text, value)
    return settings


def with_options(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with settings in every artifact whose target has them; others stay as they are.

    Raises:
        UsageError: No artifact's target has a setting, or a value is not one it can have.
    """
    for name in settings:
        if not any(_takes(artifact, name) for artifact in recipe.artifacts):
            formats = [each for each in target_names() if name in target(each).option_names]
            raise UsageError(
                f"no artifact has a setting {name}",
                expected=f"an artifact of format {' or '.join(formats)}"
                if formats
                else f"one of {', '.join(_all_names(recipe)) or 'none: they have no settings'}",
                found=", ".join(artifact.format for artifact in recipe.artifacts),
                remedy="drop the option",
            )
    artifacts = tuple(_set(artifact, settings) for artifact in recipe.artifacts)
    return recipe.model_copy(update={"artifacts": artifacts})


def _value(text: str, value: str) -> Any:
    try:
        return read_yaml(value)
    except yaml.YAMLError as error:
        raise UsageError(
            f"cannot read --set {text!r}",
            expected="a value as in a recipe",
            found=str(error).replace("\n", " "),
        ) from error


def _takes(artifact: Artifact, name: str) -> bool:
    return name in target(artifact.format).option_names


def _all_names(recipe: Recipe) -> list[str]:
    formats = {artifact.format for artifact in recipe.artifacts}
    return sorted({name for each in formats for name in target(each).option_names})


def _set(artifact: Artifact, settings: Mapping[str, Any]) -> Artifact:
    taken = {name: value for name, value in settings.items() if _takes(artifact, name)}
    if not taken:
        return artifact
    options = {**artifact.options, **taken}
    # The options as a whole have to be right, not one by one.
    target(artifact.format).passes(options)
    return artifact.model_copy(update={"options": options})
