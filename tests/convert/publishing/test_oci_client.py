from dataclasses import dataclass

import pytest

from convert.publishing.destination import OciReference
from convert.publishing.oci_client import (
    InterruptedRequestError,
    RefusedRequestError,
    RegistryClient,
)
from convert.publishing.redaction import Redactor
from tests.support.faulty_server import Answer, FaultyServer, serving


@dataclass
class Told(FaultyServer):
    """Answers what it is told to, in order; the last for ever."""

    answers: tuple = (Answer(),)

    def answer(self, request):
        first, *rest = self.answers
        self.answers = tuple(rest) or (first,)
        return first


@pytest.fixture
def told():
    with serving(Told()) as server:
        yield server


@pytest.fixture
def client(told, patience):
    place = OciReference(told.url.removeprefix("http://"), "org/tiny", "v1")
    return RegistryClient(place, Redactor(), patience, pushing=True)


def test_paths_are_below_the_repository_and_locations_are_what_they_are(client, told):
    assert client.url("blobs/x") == f"{told.url}/v2/org/tiny/blobs/x"
    assert client.url("/v2/org/tiny/blobs/uploads/1?_state=a") == (
        f"{told.url}/v2/org/tiny/blobs/uploads/1?_state=a"
    )
    assert client.url("https://store.example/a") == "https://store.example/a"


def test_a_busy_answer_may_become_a_good_one(client, told, naps):
    told.answers = (Answer(503), Answer(429, headers={"Retry-After": "5"}), Answer(200, b"x"))
    assert client.patiently("GET", "blobs/x").content == b"x"
    assert naps == [1.0, 5.0]


def test_a_server_that_stays_busy(client, told):
    told.answers = (Answer(500),)
    with pytest.raises(InterruptedRequestError, match="status 500"):
        client.patiently("GET", "blobs/x")
    assert len(told.asked) == 3


def test_a_refusal_is_final(client, told):
    told.answers = (Answer(400, b'{"errors": [{"code": "NAME_INVALID", "message": "no"}]}'),)
    with pytest.raises(RefusedRequestError, match="status 400 NAME_INVALID: no"):
        client.patiently("GET", "blobs/x")
    assert len(told.asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors": 3}', b'{"errors": [3]}', b"\xff"])
def test_a_refusal_in_no_known_words(client, told, body):
    told.answers = (Answer(404, body),)
    with pytest.raises(RefusedRequestError, match="status 404"):
        client.once("GET", "blobs/x")


def test_nobody_at_home(patience, naps):
    place = OciReference("127.0.0.1:1", "org/tiny", "v1")
    client = RegistryClient(place, Redactor(), patience, pushing=False)
    with pytest.raises(InterruptedRequestError) as caught:
        client.patiently("GET", "blobs/x")
    assert "does not give us" in str(client.explained(caught.value))
    assert len(naps) == 2


def test_a_location_elsewhere_gets_no_authorization(client, told):
    with serving(Told()) as elsewhere:
        client._authorizer.header = "Bearer s3cret-token"
        client.once("PUT", f"{elsewhere.url}/upload", body=lambda: b"x")
        client.once("GET", "blobs/x")
        assert "Authorization" not in elsewhere.asked[0].headers
        assert told.asked[0].headers["Authorization"] == "Bearer s3cret-token"


def test_a_redirect_elsewhere_gets_none_either(client, told):
    with serving(Told(answers=(Answer(200, b"blob"),))) as elsewhere:
        # Another host by name, since ports alone are two places of one host to some.
        url = elsewhere.url.replace("127.0.0.1", "localhost")
        told.answers = (Answer(307, headers={"Location": f"{url}/blob"}),)
        client._authorizer.header = "Bearer s3cret-token"
        assert client.once("GET", "blobs/x").content == b"blob"
        assert "Authorization" not in elsewhere.asked[0].headers
