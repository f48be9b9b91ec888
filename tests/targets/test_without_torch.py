"""The other process returns what the function returns, raises what it raises, and has no torch."""

from __future__ import annotations

import os
import sys

import pytest

from convert.errors import UnsupportedTokenizerError
from targets import without_torch


def torch_is_there():
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def add(a, *, b):
    return a + b


def refuse():
    raise UnsupportedTokenizerError("no", expected="yes", remedy="ask again")


def die():
    os._exit(7)


def test_torch_is_hidden_there_and_only_there():
    assert torch_is_there()
    assert not without_torch.call(torch_is_there)


def test_torch_stays_where_it_is_imported_already(monkeypatch):
    monkeypatch.setenv("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    torch = pytest.importorskip("torch")
    without_torch.hide_torch()
    assert sys.modules["torch"] is torch


def test_arguments_and_result_pass():
    assert without_torch.call(add, [1], b=[2]) == [1, 2]


def test_an_error_passes_with_all_it_says():
    with pytest.raises(UnsupportedTokenizerError) as caught:
        without_torch.call(refuse)
    assert (caught.value.expected, caught.value.remedy) == ("yes", "ask again")


def test_a_death_is_an_error():
    with pytest.raises(UnsupportedTokenizerError, match="died") as caught:
        without_torch.call(die)
    assert caught.value.found == "exit code 7"
