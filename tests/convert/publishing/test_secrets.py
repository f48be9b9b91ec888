"""Nothing that a publication leaves behind or says holds a token."""

import base64
import io
import json
import logging

import pytest

from convert.errors import TricastError
from convert.progress import Reporter
from convert.publishing.commands import publish, pull
from tests.support import fake_publishing_hub, fake_registry
from tests.support.faulty_server import Answer, Fault

FAULTS = [None, 401, 503, "cut", "echo"]


def fault_of(kind, methods, secrets):
    """What goes wrong; some servers repeat what they were told."""
    told = " ".join(secrets)
    answers = {
        "cut": {"cut": 10},
        "echo": {"answer": Answer(400, told.encode(), {"X-Error-Message": told})},
    }
    given = answers.get(kind, {"answer": Answer(kind if isinstance(kind, int) else 500)})
    return [Fault(method, ".*", **given, times=50) for method in methods]


def everything_in(folder, *texts):
    files = (path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return b"\n".join([*files, *(text.encode() for text in texts)])


@pytest.fixture
def attempt(tmp_path, patience, caplog):
    """Publishes and pulls, and gives all that was said and written."""

    def attempt(artifact, repo):
        said = io.StringIO()
        caplog.set_level(logging.DEBUG)
        for step in (
            lambda: publish(artifact, repo, reporter=Reporter(said), patience=patience),
            lambda: pull(repo, tmp_path / "back", reporter=Reporter(said), patience=patience),
        ):
            try:
                print(step(), file=said)
            except TricastError as error:
                said.write(str(error))
                assert error.__cause__ is None
                assert error.__suppress_context__
        return said.getvalue()

    return attempt


@pytest.mark.parametrize("kind", FAULTS)
def test_a_registry(attempt, artifact, registry, nobody, tmp_path, capfd, caplog, kind):
    registry.login = "bearer"
    pair = base64.b64encode(f"{fake_registry.USER}:{fake_registry.PASSWORD}".encode()).decode()
    (nobody / ".docker").mkdir()
    host = registry.url.removeprefix("http://")
    config = nobody / ".docker" / "config.json"
    config.write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    secrets = (fake_registry.PASSWORD, fake_registry.TOKEN, pair)
    if kind is not None:
        registry.faults += fault_of(kind, ("POST", "PATCH", "PUT"), secrets)
    said = attempt(artifact, f"{registry.place}:x")
    config.unlink()
    written = everything_in(tmp_path, said, *capfd.readouterr(), caplog.text)
    sent = b"".join([*registry.blobs.values(), *registry.manifests.values()])
    assert registry.asked, "it was tried"
    for secret in secrets:
        assert secret.encode() not in written
        assert secret.encode() not in sent


@pytest.mark.parametrize("kind", FAULTS)
def test_a_hub(attempt, artifact, hub, tmp_path, capfd, caplog, kind):
    secrets = (fake_publishing_hub.TOKEN, "signed-and-secret")
    if kind is not None:
        hub.faults += fault_of(kind, ("POST", "PUT"), secrets[:1])
    said = attempt(artifact, fake_publishing_hub.NAME)
    written = everything_in(tmp_path, said, *capfd.readouterr(), caplog.text)
    assert hub.asked, "it was tried"
    for secret in secrets:
        assert secret.encode() not in written
        assert not any(secret.encode() in data for data in hub.files.values())
