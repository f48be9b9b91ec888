"""The recipe that a request amounts to: what is asked for in particular goes before the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from convert.errors import RecipeError, UsageError
from convert.recipe import Recipe, faults, load_recipe, parse_to


def recipe_of(
    model: str | None,
    recipe: str | Path | Recipe | Mapping[str, Any] | None,
    to: Sequence[str],
    *,
    common: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Recipe:
    """A recipe with changes.

    Args:
        model: Takes the place of the recipe's model and revision.
        recipe: A shipped recipe's name, a YAML file, a recipe, or its keys and values.
        to: ``FORMAT:ENCODING`` of artifacts that take the place of the recipe's.
        common: What every artifact is to have, by the recipe's keys; None leaves the recipe's.
        changes: Other keys of a recipe; None leaves the recipe's.

    Raises:
        UsageError: There is nothing to make, or parts contradict each other.
        RecipeError: The recipe cannot be read or does not follow the schema.
    """
    if recipe is None and not to:
        raise UsageError(
            "nothing to make",
            expected="--to FORMAT:ENCODING, or --recipe NAME",
            remedy="for example: convert run MODEL --to gguf:q4_0 --out OUT",
        )
    document = _document(recipe)
    if to:
        document["artifacts"] = [parse_to(text).model_dump() for text in to]
    if model:
        document |= {"model": model, "revision": None}
    document |= {key: value for key, value in changes.items() if value is not None}
    given = {key: value for key, value in (common or {}).items() if value is not None}
    document["artifacts"] = [{**artifact, **given} for artifact in document["artifacts"]]
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise UsageError("the options contradict each other", found=faults(error)) from error


def _document(recipe: str | Path | Recipe | Mapping[str, Any] | None) -> dict[str, Any]:
    if recipe is None:
        return {"name": "command-line"}
    if isinstance(recipe, Recipe):
        return recipe.model_dump()
    if isinstance(recipe, (str, Path)):
        return load_recipe(str(recipe)).model_dump()
    try:
        return Recipe.model_validate(recipe).model_dump()
    except ValidationError as error:
        raise RecipeError("the recipe does not follow the schema", found=faults(error)) from error
