"""Against docker-registry, the program that most registries are: Debian's package of that name."""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from convert.errors import UnavailableDestinationError
from convert.manifest import read_manifest
from convert.publishing.commands import publish, pull
from convert.publishing.contents import Item
from convert.publishing.destination import parse_place
from convert.publishing.oci import OciPublisher
from convert.publishing.oci_upload import BlobUploader
from convert.publishing.redaction import Redactor
from convert.verification import verify
from tests.support.finished import finished_artifact

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("docker-registry") is None,
        reason="the program docker-registry is not installed (apt-get install docker-registry)",
    ),
]
CHUNK = 64 << 10
# What `htpasswd -B` makes of the login.
USER, PASSWORD = "someone", "correct-horse-battery"
HASH = "$2b$05$4wHmqUB2B4KV6Jray8lOg.ukUq9whwj0F00Bsg.Kr8UA7TjrGu2W6"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def running(tmp_path, more=""):
    port = free_port()
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'storage'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: for-tests}}\n"
        f"{more}"
    )
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
        try:
            _await(f"http://127.0.0.1:{port}/v2/", process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def registry(tmp_path):
    with running(tmp_path) as host:
        yield host


def test_a_login(tmp_path, artifact, nobody, reporter):
    (tmp_path / "htpasswd").write_text(f"{USER}:{HASH}\n")
    asked = f"auth: {{htpasswd: {{realm: r, path: {tmp_path / 'htpasswd'}}}}}\n"
    with running(tmp_path, asked) as host:
        place = f"oci://{host}/org/tiny:q4"
        with pytest.raises(UnavailableDestinationError, match="docker login"):
            publish(artifact, place, reporter=reporter)
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (nobody / ".docker").mkdir()
        login = {"auths": {host: {"auth": pair}}}
        (nobody / ".docker" / "config.json").write_text(json.dumps(login))
        publish(artifact, place, reporter=reporter)
        pull(place, tmp_path / "back", reporter=reporter)
    log = (tmp_path / "registry.log").read_text()
    assert PASSWORD not in log


def _await(url, process):
    for _ in range(100):
        assert process.poll() is None
        try:
            with urlopen(url):
                return
        except HTTPError:  # it asks for a login
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the registry does not answer")


def test_published_pulled_and_verified(registry, tmp_path, artifact, reporter):
    sent = publish(artifact, f"oci://{registry}/org/tiny:q4", reporter=reporter)
    pull(sent.url, tmp_path / "back", reporter=reporter)
    verified = verify(tmp_path / "back", golden=None, gate=False, threads=1, reporter=reporter)
    assert verified.manifest == read_manifest(artifact)
    assert (tmp_path / "back" / "README.md").read_text() == sent.card


class BrokenOffError(Exception):
    """What a test breaks an upload off with."""


@pytest.fixture
def large(tmp_path):
    """Larger than several chunks, and an empty file."""
    data = hashlib.shake_256(b"weights").digest(5 * CHUNK + 123)
    return data, (Item.of_bytes("model.bin", data), Item.of_bytes("empty", b""))


def publisher(registry, patience):
    place = parse_place(f"oci://{registry}/org/large:v1")
    return OciPublisher(place, Redactor(), patience, chunk_bytes=CHUNK)


def test_an_upload_in_chunks_that_was_broken_off_goes_on(
    registry, tmp_path, artifact, large, patience, monkeypatch
):
    data, items = large
    manifest = read_manifest(artifact)
    once = BlobUploader._patch
    sent = []

    def three_chunks(self, session, item):
        if len(sent) == 3:
            raise BrokenOffError
        sent.append(session.offset)
        return once(self, session, item)

    monkeypatch.setattr(BlobUploader, "_patch", three_chunks)
    with pytest.raises(BrokenOffError):
        publisher(registry, patience).publish(items, manifest, "mit", lambda count: None)
    sent.clear()
    monkeypatch.setattr(
        BlobUploader, "_patch",
        lambda self, session, item: (sent.append(session.offset), once(self, session, item))[1],
    )  # fmt: skip
    counted = []
    publisher(registry, patience).publish(items, manifest, "mit", counted.append)
    assert sent == [3 * CHUNK, 4 * CHUNK, 5 * CHUNK]
    with urlopen(f"http://{registry}/v2/org/large/blobs/{items[0].digest}") as response:
        assert response.read() == data


def test_without_its_manifest_nothing_is_there(registry, artifact, large, patience, monkeypatch):
    from convert.publishing import oci

    monkeypatch.setattr(oci, "image_manifest", lambda *told: b"{}")
    with pytest.raises(UnavailableDestinationError, match="nothing of it is visible"):
        publisher(registry, patience).publish(
            large[1], read_manifest(artifact), "mit", lambda count: None
        )
    with pytest.raises(OSError, match="404"):
        urlopen(f"http://{registry}/v2/org/large/manifests/v1")


def test_a_tag_moves_and_what_was_published_stays(registry, tmp_path, reporter):
    first = finished_artifact(tmp_path / "a" / "x")
    other = finished_artifact(tmp_path / "b" / "x", notes=("another",))
    sent = publish(first, f"oci://{registry}/org/tiny:q4", reporter=reporter)
    publish(other, f"oci://{registry}/org/tiny:q4", reporter=reporter)
    with urlopen(f"http://{registry}/v2/org/tiny/tags/list") as response:
        assert json.load(response)["tags"] == ["q4"]
    assert pull(f"oci://{registry}/org/tiny:q4", tmp_path / "c", reporter=reporter).notes == (
        "another",
    )
    assert pull(sent.url, tmp_path / "d", reporter=reporter).notes == ("a note",)
