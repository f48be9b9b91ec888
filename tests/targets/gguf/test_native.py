"""A missing llama.cpp is named with the extra that has it."""

from __future__ import annotations

import sys

import pytest

from convert.errors import UsageError
from targets.gguf.native import llama_cpp


def test_a_missing_llama_cpp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        llama_cpp()
    assert "tricast[arm]" in str(caught.value)
