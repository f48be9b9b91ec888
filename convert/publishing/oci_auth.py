"""Answers a registry that asks who we are: basic, or a token of its token server."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from convert.errors import UnavailableDestinationError
from convert.publishing.destination import OciReference
from convert.publishing.oci_credentials import Credential, credential_for
from convert.publishing.redaction import Redactor

if TYPE_CHECKING:
    import requests

_CHALLENGE = re.compile(
    r"(?i)\b(bearer|basic)\b((?:\s*,?\s*[a-z_]+\s*=\s*(?:\"[^\"]*\"|[^\s,\"]+))*)"
)
_PARAMETER = re.compile(r"(?i)([a-z_]+)\s*=\s*(?:\"([^\"]*)\"|([^\s,\"]+))")
_CLIENT = "tricast"
_SECONDS = (30, 60)


@dataclass(frozen=True)
class Challenge:
    """What a ``WWW-Authenticate`` header asks for (RFC 9110, 11.6.1)."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """All that we can answer, bearer tokens first."""
    found = [
        Challenge(
            match[1].lower(),
            {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(match[2])},
        )
        for match in _CHALLENGE.finditer(header)
    ]
    return sorted(found, key=lambda challenge: challenge.scheme != "bearer")


class Authorizer:
    """Makes the ``Authorization`` of requests to one registry; there is none until it asks.

    See https://distribution.github.io/distribution/spec/auth/ (token and OAuth 2).

    Args:
        place: The registry and repository.
        session: Makes the requests to the token server.
        redactor: Learns every secret.
        actions: Of the scope: ``pull`` or ``pull,push``.
        look_up: Finds the login.
    """

    def __init__(
        self,
        place: OciReference,
        session: requests.Session,
        redactor: Redactor,
        actions: str,
        look_up: Callable[[str, str], Credential | None] = credential_for,
    ) -> None:
        self._place, self._session, self._redactor = place, session, redactor
        self._actions, self._look_up = actions, look_up
        self._credential: Credential | None = None
        self._looked_up = False
        self.header: str | None = None

    @property
    def login(self) -> str:
        """How a user logs in."""
        return f"`docker login {self._place.host}`, or `podman login {self._place.host}`"

    def answer(self, header: str) -> bool:
        """Answer the ``WWW-Authenticate`` of a 401.

        Returns:
            Whether it is worth asking again with `header`.

        Raises:
            UnavailableDestinationError: The token server refuses, or is not to be trusted.
        """
        credential = self._login()
        for challenge in parse_challenges(header):
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                token = self._token(challenge.parameters, credential)
                self._redactor.hide(token)
                self.header = f"Bearer {token}"
                return True
            if challenge.scheme == "basic" and credential is not None:
                if credential.is_identity_token:
                    continue
                self.header = _basic(credential, self._redactor)
                return True
        return False

    def _login(self) -> Credential | None:
        if not self._looked_up:
            self._credential = self._look_up(self._place.host, self._place.repository)
            self._looked_up = True
            if self._credential is not None:
                self._redactor.hide(self._credential.secret)
        return self._credential

    def _token(self, asked: dict[str, str], credential: Credential | None) -> str:
        realm = asked["realm"]
        self._require_trust(realm)
        scope = asked.get("scope") or f"repository:{self._place.repository}:{self._actions}"
        fields = {"service": asked.get("service", self._place.host), "scope": scope}
        response = self._ask(realm, fields, credential)
        if response.status_code != 200:
            raise UnavailableDestinationError(
                f"the token server of {self._place.host} does not let us in",
                found=f"status {response.status_code}",
                remedy=f"log in: {self.login}",
            )
        try:
            values: Any = response.json()
            token = values.get("token") or values.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isprintable():
            raise UnavailableDestinationError(
                f"the token server of {self._place.host} answers without a token"
            )
        return token

    def _ask(
        self, realm: str, fields: dict[str, str], credential: Credential | None
    ) -> requests.Response:
        import requests

        try:
            if credential is not None and credential.is_identity_token:
                form = {
                    **fields, "grant_type": "refresh_token", "client_id": _CLIENT,
                    "refresh_token": credential.secret,
                }  # fmt: skip
                return self._session.post(
                    realm, data=form, timeout=_SECONDS, auth=HeaderAuth(None),
                    allow_redirects=False,
                )  # fmt: skip
            header = None if credential is None else _basic(credential, self._redactor)
            return self._session.get(
                realm, params=fields, timeout=_SECONDS, auth=HeaderAuth(header),
                allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise UnavailableDestinationError(
                f"the token server of {self._place.host} does not answer",
                found=self._redactor.clean(type(error).__name__),
                remedy="check the connection, and run the same command again",
            ) from None

    def _require_trust(self, realm: str) -> None:
        """Logins go to a token server over TLS, unless the registry is on this machine."""
        if urlsplit(realm).scheme == "https" or self._place.url.startswith("http://"):
            return
        raise UnavailableDestinationError(
            f"{self._place.host} wants a login sent without encryption",
            expected="a token server at https://",
            found=self._redactor.clean(realm),
        )


class HeaderAuth:
    """Sets ``Authorization``, or none: without it requests would look into ``~/.netrc``."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See requests.auth.AuthBase."""
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request


def _basic(credential: Credential, redactor: Redactor) -> str:
    pair = base64.b64encode(f"{credential.username}:{credential.secret}".encode()).decode()
    redactor.hide(pair)
    return f"Basic {pair}"
