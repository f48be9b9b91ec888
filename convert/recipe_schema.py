"""The JSON Schema of recipes for editors: `python -m convert.recipe_schema` writes it anew.

It says what a recipe may hold, with the names that there are to choose from; what only a run can
know, as whether a target stores an encoding, `convert lint-recipe` says.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from convert.recipe import Recipe

FILE_NAME = "recipe.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema. Names of targets and encodings are proposed, not prescribed: other packages may
    bring more.
    """
    from passes.encodings import ENCODINGS
    from targets import TARGETS, target

    made = Recipe.model_json_schema()
    mixes = (name for each in TARGETS for name in target(each).mixes)
    encodings = sorted({*ENCODINGS, *mixes})
    artifact = made["$defs"]["Artifact"]["properties"]
    artifact["format"] = _proposing(artifact["format"], list(TARGETS))
    for key in ("encoding", "embeddings", "head"):
        artifact[key] = _proposing(artifact[key], encodings)
    override = made["$defs"]["Override"]["properties"]
    override["encoding"] = _proposing(override["encoding"], encodings)
    title = {"title": "Tricast recipe", "description": "A model and the artifacts to make of it."}
    return {"$schema": DIALECT, **made, **title}


def text() -> str:
    """The schema as it is shipped."""
    return json.dumps(schema(), indent=1) + "\n"


def shipped() -> str:
    """The schema that came with Tricast."""
    return (resources.files("recipes") / FILE_NAME).read_text(encoding="utf-8")


def _proposing(value: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A text of any value, with names for an editor to propose."""
    kinds = value.get("anyOf", [{"type": value.get("type", "string")}])
    kept = {key: held for key, held in value.items() if key not in ("anyOf", "type")}
    return {**kept, "anyOf": [{"enum": names}, *kinds]}


if __name__ == "__main__":
    (Path(__file__).parent.parent / "recipes" / FILE_NAME).write_text(text(), encoding="utf-8")
