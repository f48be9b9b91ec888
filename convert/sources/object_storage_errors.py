"""What object storage answers, as errors that say what to do and hold no secrets."""

from __future__ import annotations

import re

from convert.errors import ChangedInputError, TricastError, UnavailableSourceError

_QUERY = re.compile(r"(https?://[^\s?]+)\?\S*")
_LONGEST = 300
CREDENTIALS = (
    "give credentials as the storage's own tools take them (AWS_PROFILE or AWS_ACCESS_KEY_ID, "
    "GOOGLE_APPLICATIONCREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY, a role of this machine); "
    "for a public S3 bucket set AWS_SKIP_SIGNATURE=true"
)
_AGAIN = "run the same command again when the storage answers: what was written is kept"


def explained(error: Exception, where: str) -> TricastError:
    """The error to show for one of obstore's.

    Args:
        error: Its text may quote a signed URL, of which the signature is left out.
        where: Of what was asked for.
    """
    if isinstance(error, TricastError):
        return error
    kind, found = type(error).__name__, first_line(error)
    if kind == "PreconditionError" or _status(error) == 412:
        return changed(where, "another ETag than when the run began")
    if kind in {"PermissionDeniedError", "UnauthenticatedError"} or _status(error) in {401, 403}:
        return UnavailableSourceError(
            f"{where} is not given to us",
            expected="credentials with the right to list the folder and to read its objects",
            found=found,
            remedy=CREDENTIALS,
        )
    if isinstance(error, FileNotFoundError) or _status(error) == 404:
        return UnavailableSourceError(
            f"there is no {where}",
            expected="a bucket and a folder that exist",
            found=found,
            remedy="check the name, the region and the endpoint",
        )
    return UnavailableSourceError(
        f"{where} cannot be read", expected="an answer", found=found, remedy=_AGAIN
    )


def changed(where: str, found: str) -> ChangedInputError:
    """The error of an object that is not what it was."""
    return ChangedInputError(
        f"{where} changed while it was being converted",
        expected="the same objects from the beginning to the end",
        found=found,
        remedy="run again with --restart to discard what was written and begin anew",
    )


def no_credentials(where: str) -> UnavailableSourceError:
    """The error where no credentials are to be found at all."""
    return UnavailableSourceError(
        f"there are no credentials for {where}",
        expected="those of the storage's own tools",
        remedy=CREDENTIALS,
    )


def _status(error: Exception) -> int | None:
    match = re.search(r"status code: (\d{3})", str(error))
    return int(match.group(1)) if match else None


def first_line(error: Exception) -> str:
    """What an error says first, without the signature of a URL."""
    lines = str(error).strip().splitlines() or [""]
    return _QUERY.sub(r"\1", f"{type(error).__name__}: {lines[0]}")[:_LONGEST]
