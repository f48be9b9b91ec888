"""Why something failed, in the error's own words and on one line."""

from __future__ import annotations

import re

from convert.errors import TricastError

_LONGEST = 240


def reason_of(error: BaseException) -> str:
    """What an error says, without what only whoever mends it would read."""
    if isinstance(error, TricastError):
        found = f": {error.found}" if error.found else ""
        text = f"{error.what}{found}"
    else:
        text = f"{type(error).__name__}: {error}"
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
