"""Speaks to one repository of an OCI registry: authorized, patient, and with errors explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from convert.errors import TricastError, UnavailableDestinationError, UnavailableSourceError
from convert.publishing.destination import OciReference
from convert.publishing.oci_auth import Authorizer, HeaderAuth
from convert.publishing.patience import Patience, retry_after
from convert.publishing.redaction import Redactor
from convert.publishing.remote_errors import remedy

if TYPE_CHECKING:
    import requests

_SECONDS = (30, 300)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST = 300


class InterruptedRequestError(Exception):
    """A request that may succeed later: no answer, or one of a server that is busy.

    Args:
        what: Of the answer, or of the connection; without secrets.
        status: None if there was no answer.
        retry_after: Seconds that the server asks to wait.
    """

    def __init__(
        self, what: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.what, self.status, self.retry_after = what, status, retry_after
        super().__init__(what)


class RefusedRequestError(Exception):
    """An answer that will be the same next time.

    Args:
        status: Of the answer.
        what: What it says, without secrets.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status, self.what = status, what
        super().__init__(what)


Body = Callable[[], Any]
"""Makes the body of a request anew: bytes, or something with ``read`` and ``__len__``."""


class RegistryClient:
    """Requests below ``/v2/REPOSITORY/``; see the OCI distribution specification 1.1.

    Args:
        place: The registry and repository.
        redactor: Keeps secrets out of errors.
        patience: With a registry that is busy.
        pushing: Whether we want to write.
    """

    def __init__(
        self, place: OciReference, redactor: Redactor, patience: Patience, *, pushing: bool
    ) -> None:
        import requests

        self.place, self.patience, self._redactor = place, patience, redactor
        self._pushing = pushing
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "tricast"
        actions = "pull,push" if pushing else "pull"
        self._authorizer = Authorizer(place, self._session, redactor, actions)
        self._base = urljoin(place.url, f"{place.repository}/")

    def url(self, path: str) -> str:
        """Of a path below the repository, or of a ``Location`` that the registry named."""
        return urljoin(self._base, path)

    def once(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Make a request, and again if the registry asks who we are.

        Raises:
            InterruptedRequestError: It may succeed later.
            RefusedRequestError: It will not.
            UnavailableDestinationError: We are not let in.
        """
        response = self._send(method, path, headers, body, stream)
        if response.status_code == 401:
            asked = response.headers.get("WWW-Authenticate", "")
            response.close()
            if self._authorizer.answer(asked):
                response = self._send(method, path, headers, body, stream)
        status = response.status_code
        if status < 400:
            return response
        what = self._said(response)
        response.close()
        if status in _BUSY:
            raise InterruptedRequestError(
                what, status, retry_after(response.headers.get("Retry-After"))
            )
        raise RefusedRequestError(status, what)

    def patiently(self, method: str, path: str, **options: Any) -> requests.Response:
        """As `once`, for a request that does the same when it is made twice.

        Raises:
            InterruptedRequestError: It did not succeed in the end.
            RefusedRequestError: It will not.
        """
        failures = 0
        while True:
            try:
                return self.once(method, path, **options)
            except InterruptedRequestError as interruption:
                failures += 1
                if not self.patience.wait(failures, interruption.retry_after):
                    raise

    def explained(self, error: InterruptedRequestError | RefusedRequestError) -> TricastError:
        """The error to show for what ended a publication, or a pull."""
        status = error.status
        kind = UnavailableDestinationError if self._pushing else UnavailableSourceError
        what = (
            f"{self.place} does not take the artifact; nothing of it is visible there"
            if self._pushing
            else f"{self.place} does not give us the artifact"
        )
        return kind(what, found=error.what, remedy=remedy(status, self._authorizer.login))

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        body: Body | None,
        stream: bool,
    ) -> requests.Response:
        import requests

        url = self.url(path)
        ours = urlsplit(url)[:2] == urlsplit(self._base)[:2]
        try:
            return self._session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=None if body is None else body(),
                auth=HeaderAuth(self._authorizer.header if ours else None),
                timeout=_SECONDS,
                stream=stream,
                allow_redirects=method in ("GET", "HEAD"),
            )
        except requests.exceptions.RequestException as error:
            if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.SSLError)):
                raise RefusedRequestError(0, self._redactor.clean(str(error))[:_LONGEST]) from None
            # What urllib3 says first is about itself.
            reason = getattr(next(iter(error.args), None), "reason", None)
            text = f"{type(error).__name__}: {reason or error}"
            raise InterruptedRequestError(self._redactor.clean(text)[:_LONGEST]) from None

    def _said(self, response: requests.Response) -> str:
        """Status and the registry's own words, if it has any."""
        try:
            errors = response.json()["errors"]
            words = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in errors)
        except (ValueError, KeyError, TypeError, AttributeError, OSError):
            words = response.reason or ""
        return self._redactor.clean(f"status {response.status_code} {words}")[:_LONGEST]
