"""Numbers and names as a page shows them; names and texts come from strangers."""

from __future__ import annotations

import math
import unicodedata

from markupsafe import Markup

_KEPT = "\n\t"
_STEERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what comes after them."""


def harmless(value: object) -> object:
    """A text without what browsers or readers could stumble over; anything else as it is.

    Control characters become their pictures, characters that turn the direction of text and halves
    of surrogate pairs become their numbers. What means something in HTML is escaped later.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if value.isascii() and value.isprintable():
        return value
    return "".join(map(_letter, value))


def readable_bytes(count: float | None) -> str:
    """``91.7 MB``."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def figure(value: float | None) -> str:
    """Four digits; what cannot be computed has none."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"{value:.4g}"


def percent(share: float | None, digits: int = 1) -> str:
    """``97.8 %``."""
    if share is None or not math.isfinite(share):
        return "none"
    return f"{100 * share:.{digits}f} %"


def seconds(value: float | None) -> str:
    """``8.3 s``, or minutes and hours."""
    if value is None:
        return "unknown"
    if value < 120:
        return f"{value:.3g} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _letter(letter: str) -> str:
    if letter in _KEPT:
        return letter
    if letter in _STEERING or unicodedata.category(letter) == "Cs":
        return f"\\u{ord(letter):04x}"
    if ord(letter) < 0x20:
        return chr(0x2400 + ord(letter))
    if 0x7F <= ord(letter) < 0xA0:
        return "\N{SYMBOL FOR DELETE}" if ord(letter) == 0x7F else f"\\x{ord(letter):02x}"
    return letter
