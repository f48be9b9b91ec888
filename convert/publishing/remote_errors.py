"""What hubs and registries answer when they refuse, as errors that say what to do."""

from __future__ import annotations

from convert.errors import UnavailableDestinationError
from convert.publishing.redaction import Redactor

_LONGEST = 300

GO_ON = "run the same command again: what has arrived is not sent again"


def refused(
    where: str, error: BaseException, status: int | None, login: str, redactor: Redactor
) -> UnavailableDestinationError:
    """The error to show for one that ended a publication.

    Args:
        where: The destination.
        error: Of its client.
        status: Of the answer, if there was one.
        login: How to log in there.
        redactor: Keeps tokens out of the message.
    """
    lines = str(error).strip().splitlines() or [""]
    text = redactor.clean(f"{type(error).__name__}: {lines[0]}")[:_LONGEST]
    return UnavailableDestinationError(
        f"{where} does not take the artifact; nothing of it is visible there",
        found=text,
        remedy=remedy(status, login),
    )


def remedy(status: int | None, login: str) -> str:
    """What to do about the status of an answer; None where there was no answer."""
    if status is None:
        return f"check that the server runs and can be reached; then {GO_ON}"
    if status >= 500:
        return GO_ON
    known = {
        401: f"log in: {login}",
        403: f"this account may not write there: choose another place, or {login}",
        404: f"check the name; a private place is only there for who logs in: {login}",
        409: f"somebody else wrote there meanwhile; {GO_ON}",
        412: f"somebody else wrote there meanwhile; {GO_ON}",
        413: "the server takes no file of that size: ask who runs it for a higher limit",
        429: f"the server asks for a pause; later, {GO_ON}",
    }
    return known.get(status, "ask who runs the server, with this answer")
