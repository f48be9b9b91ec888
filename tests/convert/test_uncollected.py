"""The collector is as it was before, whatever happens meanwhile."""

from __future__ import annotations

import gc

import pytest

from convert.uncollected import uncollected


def test_nothing_is_collected_meanwhile():
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_leaves_it_as_it_was():
    with pytest.raises(ValueError, match="now"), uncollected():
        raise ValueError("now")
    assert gc.isenabled()
