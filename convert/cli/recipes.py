"""Look after recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import AsJson


def lint_recipe(
    files: Annotated[list[Path] | None, typer.Argument(help="Recipes, YAML files.")] = None,
    as_json: AsJson = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of recipes instead.")
    ] = False,
) -> None:
    """Find what is wrong with recipes, with line numbers, before a run does.

    Ends with exit code 2 if anything is.
    """
    from convert import lint_command

    lint_command.lint_recipes(files or [], as_json=as_json, schema=schema)
