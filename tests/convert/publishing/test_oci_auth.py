import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
import requests

from convert.errors import UnavailableDestinationError
from convert.publishing.destination import OciReference
from convert.publishing.oci_auth import Authorizer, Challenge, parse_challenges
from convert.publishing.oci_credentials import Credential
from convert.publishing.redaction import Redactor
from tests.support.faulty_server import Answer, FaultyServer, serving


@dataclass
class TokenServer(FaultyServer):
    """Gives what it is told to."""

    given: Answer = field(default_factory=lambda: Answer(200, b'{"access_token": "issued-token"}'))

    def answer(self, request):
        return self.given


@pytest.fixture
def tokens():
    with serving(TokenServer()) as server:
        yield server


@pytest.fixture
def redactor():
    return Redactor()


def authorizer(redactor, credential, host="127.0.0.1:5000"):
    place = OciReference(host, "org/tiny", "v1")
    return Authorizer(
        place, requests.Session(), redactor, "pull,push", lambda host, repository: credential
    )


def test_challenges_are_read_bearer_first():
    header = 'Basic realm="a, b", Bearer realm="https://x/token",service="s",scope="r:n:pull,push"'
    assert parse_challenges(header) == [
        Challenge("bearer", {"realm": "https://x/token", "service": "s", "scope": "r:n:pull,push"}),
        Challenge("basic", {"realm": "a, b"}),
    ]
    assert parse_challenges("Negotiate abc") == []
    assert parse_challenges("") == []


def test_a_password_is_exchanged_for_a_token(tokens, redactor):
    asked = authorizer(redactor, Credential("me", "word-of-mine"))
    assert asked.answer(f'Bearer realm="{tokens.url}/token",service="s"')
    assert asked.header == "Bearer issued-token"
    request = tokens.asked[0]
    assert request.query == {"service": "s", "scope": "repository:org/tiny:pull,push"}
    assert request.headers["Authorization"].startswith("Basic ")
    assert redactor.clean("word-of-mine issued-token") == "*** ***"


def test_an_identity_token_is_exchanged_by_oauth(tokens, redactor):
    asked = authorizer(redactor, Credential("", "identity-token"))
    assert asked.answer(f'Bearer realm="{tokens.url}/token",service="s",scope="x"')
    form = parse_qs(tokens.asked[0].body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity-token"]
    assert form["scope"] == ["x"]
    assert "Authorization" not in tokens.asked[0].headers


def test_anonymous_tokens_are_asked_for_without_a_login(tokens, redactor, nobody):
    (nobody / ".netrc").write_text("machine 127.0.0.1 login me password netrc-word\n")
    asked = authorizer(redactor, None)
    assert asked.answer(f'Bearer realm="{tokens.url}/token"')
    assert "Authorization" not in tokens.asked[0].headers


def test_basic(redactor):
    asked = authorizer(redactor, Credential("me", "word"))
    assert asked.answer('Basic realm="x"')
    assert asked.header == "Basic bWU6d29yZA=="
    assert redactor.clean(asked.header) == "Basic ***"


def test_what_cannot_be_answered(redactor):
    assert not authorizer(redactor, None).answer('Basic realm="x"')
    assert not authorizer(redactor, Credential("", "identity")).answer('Basic realm="x"')
    assert not authorizer(redactor, Credential("me", "word")).answer("Negotiate")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(401), "does not let us in"),
        (Answer(302, headers={"Location": "http://elsewhere.example"}), "does not let us in"),
        (Answer(200, b"no JSON"), "without a token"),
        (Answer(200, json.dumps({"token": "a\nb"}).encode()), "without a token"),
        (Answer(200, b"[]"), "without a token"),
    ],
)
def test_a_token_server_that_gives_none(tokens, redactor, answer, words):
    tokens.given = answer
    with pytest.raises(UnavailableDestinationError, match=words):
        authorizer(redactor, Credential("me", "word")).answer(f'Bearer realm="{tokens.url}/t"')


def test_a_token_server_that_is_not_there(redactor):
    with pytest.raises(UnavailableDestinationError, match="does not answer"):
        authorizer(redactor, Credential("me", "word")).answer('Bearer realm="http://127.0.0.1:1/t"')


def test_logins_are_never_sent_without_encryption(redactor):
    asked = authorizer(redactor, Credential("me", "word"), host="registry.example")
    with pytest.raises(UnavailableDestinationError, match="without encryption"):
        asked.answer('Bearer realm="http://registry.example/token"')
