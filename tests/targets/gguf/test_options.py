"""The size of a shard is read in llama.cpp's units, and nonsense is refused."""

from __future__ import annotations

from typing import Any

import pytest

from convert.errors import UsageError
from targets.gguf.options import Options


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("2G", 2 * 10**9),
        ("500M", 500 * 10**6),
        ("7K", 7000),
        ("123", 123),
        (123, 123),
        (None, None),
    ],
)
def test_sizes_are_those_of_llama_cpp(given: Any, size: int | None) -> None:
    assert Options.parse({"split_max_size": given}) == Options(size)


def test_nothing_is_split_unless_asked() -> None:
    assert Options.parse({}).split_max_size is None


@pytest.mark.parametrize("given", ["0", "0.4", "", "-2G", "2T", "G", 0, -5, 2.5, True, ["2G"], {}])
def test_other_values_are_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="split_max_size is not the size of a shard") as caught:
        Options.parse({"split_max_size": given})
    assert repr(given) in str(caught.value)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UsageError, match="no option 'split_max_tensors'"):
        Options.parse({"split_max_tensors": 5, "split_max_size": "2G"})
