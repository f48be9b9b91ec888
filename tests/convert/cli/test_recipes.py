"""`convert lint-recipe` hands its options on; `test_recipe_linting.py` tests what it does."""

from __future__ import annotations

from pathlib import Path

from convert import lint_command
from convert.__main__ import main
from convert.cli import recipes


def test_options_reach_the_linter(monkeypatch):
    asked = []
    monkeypatch.setattr(
        lint_command, "lint_recipes", lambda *given, **more: asked.append((given, more))
    )
    assert main(["lint-recipe", "a.yaml", "b.yaml", "--json"]) == 0
    recipes.lint_recipe()
    assert asked == [
        (([Path("a.yaml"), Path("b.yaml")],), {"as_json": True, "schema": False}),
        (([],), {"as_json": False, "schema": False}),
    ]
