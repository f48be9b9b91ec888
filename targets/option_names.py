"""Settings of a recipe that a target does not know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from convert.errors import UsageError


def refuse_unknown(target: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a setting that is not among those ``known``.

    Raises:
        UsageError: There is one; it is named.
    """
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise UsageError(
            f"the {target} target has no option {unknown[0]!r}",
            expected=f"one of {', '.join(known)}",
        )
