"""Where things are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for Tricast; it need not be there, nor be writable.

    See https://specifications.freedesktop.org/basedir-spec, also on relative paths.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (given if given.is_absolute() else Path.home() / ".cache") / "tricast"
    except RuntimeError:  # a user without a home: nothing can be written below this
        return Path(os.devnull) / "tricast"
