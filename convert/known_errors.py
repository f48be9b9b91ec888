"""The error of the catalogue that an error of the system stands for."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from convert.errors import DiskFullError, OutOfMemoryError, TricastError, UsageError

Given = ParamSpec("Given")
Result = TypeVar("Result")

_PATH_ERRORS = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def as_known(error: BaseException) -> TricastError | None:
    """The error of the catalogue that ``error`` is or stands for; None if it is a fault."""
    if isinstance(error, TricastError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError("memory ran out", remedy="close other programs and run again")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DiskFullError(
            "the disk is full", remedy="free some space and run the same command again"
        )
    if isinstance(error, OSError) and error.errno in _PATH_ERRORS and error.filename:
        return UsageError(
            f"{error.filename} cannot be used",
            expected="folders that can be written, files that can be read",
            found=error.strerror,
            remedy="check the path and its permissions",
        )
    return None


def catalogued(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function that raises the catalogue's errors; faults of Tricast pass as they are."""

    @functools.wraps(function)
    def raising(*given: Given.args, **options: Given.kwargs) -> Result:
        try:
            return function(*given, **options)
        except Exception as error:
            known = as_known(error)
            if known is None or known is error:
                raise
            raise known from error

    return raising
