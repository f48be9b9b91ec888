import base64
import json
import stat

import pytest

from convert.errors import UnavailableDestinationError
from convert.publishing.oci_credentials import Credential, credential_for

HOST, REPOSITORY = "registry.example:5000", "org/tiny"


@pytest.fixture
def docker(nobody):
    def write(settings):
        (nobody / ".docker").mkdir(exist_ok=True)
        (nobody / ".docker" / "config.json").write_text(json.dumps(settings))

    return write


@pytest.fixture
def helper(nobody, monkeypatch):
    """Puts a credential helper on the path that answers with a text."""

    def install(name, answer, code=0):
        folder = nobody / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / f"docker-credential-{name}"
        program.write_text(
            f'#!/bin/sh\n[ "$1" = get ] || exit 9\ncat > {folder}/asked\n'
            f"cat <<'END'\n{answer}\nEND\nexit {code}\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder / "asked"

    return install


def pair(name, secret):
    return {"auth": base64.b64encode(f"{name}:{secret}".encode()).decode()}


def test_nobody(nobody):
    assert credential_for(HOST, REPOSITORY) is None


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}"])
def test_docker_login(docker, key):
    docker({"auths": {key: pair("me", "pass:word")}})
    assert credential_for(HOST, REPOSITORY) == Credential("me", "pass:word")


def test_docker_hub(docker):
    docker({"auths": {"https://index.docker.io/v1/": pair("me", "word")}})
    assert credential_for("docker.io", "library/tiny") == Credential("me", "word")
    assert credential_for(HOST, REPOSITORY) is None


def test_an_identity_token(docker):
    docker({"auths": {HOST: {**pair("me", "x"), "identitytoken": "token"}}})
    found = credential_for(HOST, REPOSITORY)
    assert found.is_identity_token
    assert found.secret == "token"


def test_podman_keeps_logins_by_repository(nobody, monkeypatch):
    path = nobody / "auth.json"
    path.write_text(
        json.dumps({"auths": {HOST: pair("all", "x"), f"{HOST}/org": pair("org", "y")}})
    )
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    assert credential_for(HOST, REPOSITORY) == Credential("org", "y")
    assert credential_for(HOST, "other/tiny") == Credential("all", "x")


def test_a_helper_for_the_host(docker, helper):
    asked = helper("vault", '{"Username": "me", "Secret": "word"}')
    docker({"credHelpers": {HOST: "vault"}, "auths": {HOST: {}}})
    assert credential_for(HOST, REPOSITORY) == Credential("me", "word")
    assert asked.read_text() == HOST


def test_a_helper_for_all_hosts_that_has_an_identity_token(docker, helper):
    helper("desktop", '{"Username": "<token>", "Secret": "identity"}')
    docker({"credsStore": "desktop"})
    assert credential_for(HOST, REPOSITORY) == Credential("", "identity")


@pytest.mark.parametrize(
    ("answer", "code"), [("credentials not found", 1), ("no JSON", 0), ("[]", 0), ("{}", 0)]
)
def test_a_helper_that_knows_nobody(docker, helper, answer, code):
    helper("desktop", answer, code)
    docker({"credsStore": "desktop", "auths": {HOST: pair("me", "word")}})
    assert credential_for(HOST, REPOSITORY) == Credential("me", "word")


def test_a_helper_that_is_not_there(docker, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    docker({"credHelpers": {HOST: "vault"}})
    with pytest.raises(UnavailableDestinationError, match="helper"):
        credential_for(HOST, REPOSITORY)
    docker({"credHelpers": {HOST: "../../bin/evil"}})
    with pytest.raises(UnavailableDestinationError, match="helper"):
        credential_for(HOST, REPOSITORY)
    docker({"credsStore": "vault"})
    assert credential_for(HOST, REPOSITORY) is None


@pytest.mark.parametrize(
    "settings", [[], {"auths": []}, {"auths": {HOST: 3}}, {"auths": {HOST: {"auth": "é"}}}, "x"]
)
def test_a_broken_file_is_none(docker, settings):
    docker(settings)
    assert credential_for(HOST, REPOSITORY) is None


def test_no_text_of_a_login_shows_its_secret():
    assert "s3cret" not in repr(Credential("me", "s3cret"))
