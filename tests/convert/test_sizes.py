"""Sizes as people write them are bytes."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512 * 10**6),
        ("2GB", 2 * 10**9),
        ("2g", 2 * 10**9),
        ("300K", 300_000),
        ("1.5GiB", 3 << 29),
        ("64 KiB", 64 << 10),
        ("1000", 1000),
        (" 7kb ", 7000),
        ("0.29G", 290_000_000),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1GB", "1TB GB", "lots", "1e9", "0x10", "1,5GB", "²"])
def test_nonsense_is_refused(text):
    with pytest.raises(UsageError, match="cannot read the size"):
        parse_size(text)
