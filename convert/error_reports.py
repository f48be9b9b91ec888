"""An error as a JSON object, and back: how one process tells another what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert import errors
from convert.errors import TricastError

DETAILS = ("what", "expected", "found", "remedy")


def error_to_json(error: TricastError) -> dict[str, Any]:
    """An error as a JSON object; `error_from_json` undoes it."""
    return {"class": type(error).__name__, **{key: getattr(error, key) for key in DETAILS}}


def error_from_json(report: Mapping[str, Any]) -> TricastError:
    """The error that another process reported, of its own class, so with its own exit code."""
    kind = getattr(errors, str(report["class"]), TricastError)
    if not (isinstance(kind, type) and issubclass(kind, TricastError)):
        kind = TricastError
    error: TricastError = kind.__new__(kind)
    # Subclasses may take other arguments; what they say is in the four details.
    TricastError.__init__(error, str(report["what"]), **{key: report[key] for key in DETAILS[1:]})
    return error
