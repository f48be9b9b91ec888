"""The list of passes; `tests/convert/test_extensions.py` tests those of other packages."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from passes.base import Pass
from passes.catalogue import PASSES, added_pass


def test_every_pass_has_a_name_of_its_own_and_says_whether_it_is_exact():
    assert len({one.name for one in PASSES}) == len(PASSES)
    assert all(issubclass(one, Pass) and isinstance(one.exact, bool) for one in PASSES)


@pytest.mark.parametrize("name", [one.name for one in PASSES])
def test_built_in_passes_are_not_a_recipes_to_ask_for(name):
    with pytest.raises(UsageError, match="no package adds a pass"):
        added_pass(name)
