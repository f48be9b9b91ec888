"""Errors of the system as those of the catalogue; `test_main.py` tests the rest."""

from __future__ import annotations

import errno

import pytest

from convert.errors import TricastError, UsageError
from convert.known_errors import as_known, catalogued


def test_a_fault_is_not_known():
    assert as_known(ZeroDivisionError()) is None
    assert as_known(OSError(errno.EIO, "input or output", "a")) is None
    assert isinstance(as_known(OSError(errno.EISDIR, "a folder", "a")), UsageError)


def test_the_first_error_is_the_cause_and_none_of_its_own():
    mine = TricastError("mine")
    failing = catalogued(lambda error: (_ for _ in ()).throw(error).__next__())
    with pytest.raises(TricastError) as caught:
        failing(mine)
    assert caught.value is mine
    with pytest.raises(TricastError) as caught:
        failing(MemoryError())
    assert isinstance(caught.value.__cause__, MemoryError)
