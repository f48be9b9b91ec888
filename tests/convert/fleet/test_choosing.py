from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.fleet.choosing import workers_at
from convert.progress import Silent
from convert.workers import THIS_PROCESS


def test_this_process_works_where_nobody_is_named():
    with workers_at(None, 1, Silent()) as workers:
        assert workers is THIS_PROCESS


def test_a_place_that_is_not_understood_is_refused_at_once():
    with pytest.raises(UsageError, match="names no workers"):
        workers_at("kubernetes", 1, Silent())
