"""Bytes and seconds as people read them."""

from __future__ import annotations


def readable_bytes(nbytes: float) -> str:
    """Three digits and a unit of 1000: ``13.5 GB``."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= size:
            return f"{three_digits(nbytes / size)} {unit}"
    return f"{nbytes:.0f} bytes"


def readable_seconds(seconds: float) -> str:
    """Three digits and a unit: ``9.62 ms``, ``12.4 s``, ``35 min``, ``4.1 h``."""
    if seconds < 1e-3:
        return f"{three_digits(seconds * 1e6)} us"
    if seconds < 1:
        return f"{three_digits(seconds * 1e3)} ms"
    if seconds < 90:
        return f"{three_digits(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def three_digits(number: float) -> str:
    """A number that is not too small, to three digits: ``0.072``, ``9.62``, ``96.2``, ``962``."""
    if number >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.3g}"
