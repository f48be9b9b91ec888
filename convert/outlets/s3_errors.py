"""What S3 answers to who writes there, as errors that say what to do and hold no secrets."""

from __future__ import annotations

from typing import Any

from convert.errors import TricastError, UnavailableDestinationError
from convert.sources.object_storage_errors import CREDENTIALS, first_line

_FORBIDDEN = frozenset({
    "403", "401", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidToken", "SignatureDoesNotMatch", "UnauthorizedAccess",
})  # fmt: skip
_NO_KEYS = frozenset({
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError",
    "SSOError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError",
})  # fmt: skip
AGAIN = "run the same command again when the storage answers: what was made and sent is kept"


def code_of(error: Exception) -> str:
    """What the storage calls an error; empty if it is none of the storage's."""
    response: Any = getattr(error, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) else ""


def explained(error: Exception, where: str) -> TricastError:
    """The error to show for one of boto3's, about an object or a folder."""
    if isinstance(error, TricastError):
        return error
    code, found = code_of(error), first_line(error)
    if code == "NoSuchBucket":
        return UnavailableDestinationError(
            f"there is no bucket for {where}",
            expected="a bucket that exists",
            found=found,
            remedy="make it, or check its name, the region and the endpoint",
        )
    if code in _FORBIDDEN or type(error).__name__ in _NO_KEYS:
        return UnavailableDestinationError(
            f"we may not write to {where}",
            expected="credentials with the rights to list, read and write there, and to list and "
            "abort multipart uploads",
            found=found,
            remedy=CREDENTIALS,
        )
    return UnavailableDestinationError(
        f"{where} cannot be written", expected="an answer", found=found, remedy=AGAIN
    )


def not_what_was_sent(where: str, expected: str, found: str) -> UnavailableDestinationError:
    """The error of a storage that holds other bytes than it was sent."""
    return UnavailableDestinationError(
        f"the storage holds other bytes than were sent to {where}",
        expected=expected,
        found=found,
        remedy="run the same command again, which sends them anew; if that happens again, the "
        "storage or the way there is at fault",
    )
