"""`convert lint-recipe`; `test_recipe_linting.py` tests what it finds and how it ends."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.lint_command import lint_recipes


def test_it_needs_a_file():
    with pytest.raises(UsageError, match="no recipe is named"):
        lint_recipes([], as_json=False, schema=False)
