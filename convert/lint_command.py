"""What `convert lint-recipe` does, once its options are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.errors import RecipeError, UsageError
from convert.workflow_commands import annotation, harmless, on_github


def lint_recipes(files: Sequence[Path], *, as_json: bool, schema: bool) -> None:
    """Print each finding on a line, or all as JSON; on GitHub they are annotations as well.

    Raises:
        UsageError: No file is named.
        RecipeError: Something is wrong.
    """
    from convert.recipe_linting import lint
    from convert.recipe_schema import shipped

    if schema:
        _say(shipped().rstrip("\n"))
        return
    if not files:
        raise UsageError("no recipe is named", expected="one YAML file or more")
    found = [finding for path in files for finding in lint(path)]
    if as_json:
        _say(json.dumps([finding.to_json() for finding in found], indent=1, ensure_ascii=False))
    for finding in [] if as_json else found:
        _say(harmless(str(finding)) if on_github() else str(finding))
    for finding in found if on_github() else []:
        place = {"file": finding.file, "line": finding.line}
        sys.stderr.write(annotation("error", finding.message, title="recipe", **place) + "\n")  # type: ignore[arg-type]
    if found:
        wrong = sorted({finding.file for finding in found})
        number = "1 finding" if len(found) == 1 else f"{len(found)} findings"
        raise RecipeError(
            f"{number}, in {len(wrong)} of {len(files)} recipes",
            found=", ".join(wrong),
        )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
