"""What the hub's client raises, as errors that say what to do."""

from __future__ import annotations

import errno
import os

from convert.errors import DiskFullError, MissingFileError, TricastError, UnavailableSourceError

MAKE_ROOM = (
    "free some space, or name a folder on a larger disk in HF_HOME, and run the same command again"
)

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOG_IN = "accept the model's terms on its page, if it has any, and log in with `hf auth login`"


def explained(error: Exception, wanted: str, *, kind: str = "model") -> TricastError:
    """The error to show for one that was raised while ``wanted`` was being fetched.

    Args:
        error: Of huggingface_hub, its transport, or the file system.
        wanted: What was asked for, such as ``org/name`` or ``model.safetensors of org/name``.
        kind: What the hub would call it.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError

    if isinstance(error, TricastError):
        return error
    found = _first_line(error)
    if _is_disk_full(error):
        return DiskFullError(
            f"the disk of the hub's cache is full: no room for {wanted}",
            found=found,
            remedy=MAKE_ROOM,
        )
    reason = _reason(error)
    if isinstance(reason, RemoteEntryNotFoundError):
        return MissingFileError(
            f"the hub has no {wanted}",
            found=_first_line(reason),
            remedy="check the name and the revision; the checkpoint may be incomplete",
        )
    return UnavailableSourceError(
        f"the hub does not give us {wanted}",
        expected=f"a {kind} on the hub, a connection to it, or a path of that name",
        found=_first_line(reason),
        remedy=_remedy(reason),
    )


def _reason(error: Exception) -> BaseException:
    """What was wrong when a file was looked for in the cache in the end, in vain."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return error.__cause__
    return error


def _remedy(reason: BaseException) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(reason, "response", None), "status_code", None)
    if isinstance(reason, errors.OfflineModeIsEnabled):
        return "unset HF_HUB_OFFLINE, or pass the path of a downloaded copy"
    if isinstance(reason, errors.RevisionNotFoundError):
        return "check the revision: a branch, a tag or a commit"
    if isinstance(reason, errors.RepositoryNotFoundError) and not isinstance(
        reason, errors.GatedRepoError
    ):
        return "check the name; a private model is only there for who logs in: `hf auth login`"
    if isinstance(reason, errors.GatedRepoError) or status in {401, 403}:
        return _LOG_IN
    return (
        "check the name and the connection, and run the same command again: files that have "
        "arrived are kept; offline, pass the path of a downloaded copy"
    )


def _is_disk_full(error: Exception) -> bool:
    # The faster transport is not written in Python, and its errors are only text.
    return getattr(error, "errno", None) in _DISK_ERRORS or os.strerror(errno.ENOSPC) in str(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]
