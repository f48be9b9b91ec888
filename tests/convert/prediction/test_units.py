"""Sizes and times are printed to three digits."""

from __future__ import annotations

import pytest

from convert.prediction.units import readable_bytes, readable_seconds


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (13_476_831_232, "13.5 GB"),
        (4e12, "4 TB"),
    ],
)
def test_bytes(nbytes, text):
    assert readable_bytes(nbytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5e-6, "5 us"),
        (0.00962, "9.62 ms"),
        (0.0962, "96.2 ms"),
        (1.5, "1.5 s"),
        (120, "2 min"),
        (7200, "2.0 h"),
    ],
)
def test_seconds(seconds, text):
    assert readable_seconds(seconds) == text
