"""A setting of targets, given on the command line: it goes to the artifacts that take it."""

from __future__ import annotations

from typing import Any

from convert.errors import UsageError
from convert.recipe import Artifact, Recipe
from targets import TARGETS, target


def with_option(recipe: Recipe, name: str, value: Any) -> Recipe:
    """The recipe with a setting in every artifact whose target has it; others stay as they are.

    Raises:
        UsageError: No artifact's target has the setting, or ``value`` is not one it can have.
    """
    if not any(_takes(artifact, name) for artifact in recipe.artifacts):
        formats = [each for each in TARGETS if name in target(each).option_names]
        raise UsageError(
            f"no artifact has a setting {name}",
            expected=f"an artifact of format {' or '.join(formats)}",
            found=", ".join(artifact.format for artifact in recipe.artifacts),
            remedy="drop the option",
        )
    artifacts = tuple(_set(artifact, name, value) for artifact in recipe.artifacts)
    return recipe.model_copy(update={"artifacts": artifacts})


def _takes(artifact: Artifact, name: str) -> bool:
    return name in target(artifact.format).option_names


def _set(artifact: Artifact, name: str, value: Any) -> Artifact:
    if not _takes(artifact, name):
        return artifact
    options = {**artifact.options, name: value}
    target(artifact.format).passes(options)
    return artifact.model_copy(update={"options": options})
