"""Where two JSON documents differ: the place of each difference, and both values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

ABSENT: Final = "(absent)"
_LONGEST = 80


@dataclass(frozen=True)
class Change:
    """One place where two documents differ.

    Args:
        place: Keys and indices, as ``gate.result.overall.mean_kld`` or ``files.3.size``.
        before: The first document's value; `ABSENT` if it has none.
        after: The second's.
    """

    place: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.place}: {short(self.before)}, now {short(self.after)}"


def changes(before: Any, after: Any, place: str = "") -> Iterator[Change]:
    """Every difference of two JSON values, in the order of the first and then of the second."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in (*before, *(key for key in after if key not in before)):
            inner = f"{place}.{key}" if place else str(key)
            yield from changes(before.get(key, ABSENT), after.get(key, ABSENT), inner)
    elif _is_list(before) and _is_list(after) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, f"{place}.{number}" if place else str(number))
    elif type(before) is not type(after) or before != after:
        yield Change(place, before, after)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def short(value: Any) -> str:
    """A value for people, cut where it is long."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
