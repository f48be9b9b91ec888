import base64
import json

import pytest

from convert.errors import UnavailableDestinationError, UnavailableSourceError, VerificationError
from convert.manifest import read_manifest
from convert.publishing.commands import publish, pull
from convert.publishing.contents import CARD_NAME, Item, items_of
from convert.publishing.destination import parse_place
from convert.publishing.oci import OciPublisher
from convert.publishing.oci_source import OciSource
from convert.publishing.oci_upload import CHUNK_BYTES
from convert.publishing.redaction import Redactor
from tests.support.fake_registry import PASSWORD, TOKEN, UPLOAD, USER
from tests.support.faulty_server import Answer, Fault
from tests.support.finished import finished_artifact

CHUNK = 300
BEGIN, MANIFEST = r"/v2/org/tiny/blobs/uploads/", r"/v2/org/tiny/manifests/.+"


@pytest.fixture
def artifact(tmp_path):
    return finished_artifact(tmp_path / "gguf-q4_0", derived=False)


@pytest.fixture
def send(artifact, registry, patience):
    """Publishes in chunks that the weights, 700 bytes, are larger than."""

    def send(redactor=None):
        manifest = read_manifest(artifact)
        items = (*items_of(artifact, manifest, trusted=True), Item.of_bytes(CARD_NAME, b"# card"))
        place = parse_place(f"{registry.place}:q4")
        publisher = OciPublisher(place, redactor or Redactor(), patience, chunk_bytes=CHUNK)
        counted = []
        url = publisher.publish(items, manifest, "apache-2.0", counted.append)
        assert sum(counted) == sum(item.size for item in items) + len(registry_config(registry))
        return url

    return send


def registry_config(registry):
    manifest = json.loads(registry.manifests["q4"])
    return registry.blobs[manifest["config"]["digest"]]


def large_sizes(registry):
    """Of all blobs that go in chunks."""
    manifest = json.loads(registry.manifests["q4"])
    sizes = [each["size"] for each in (*manifest["layers"], manifest["config"])]
    return [size for size in sizes if size > CHUNK]


def weights(registry):
    return [data for data in registry.blobs.values() if data == b"weights" * 100]


def test_a_manifest_names_every_file_by_its_digest(artifact, registry, send):
    url = send()
    manifest = json.loads(registry.manifests["q4"])
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    found = {
        layer["annotations"]["org.cncf.model.filepath"]: registry.blobs[layer["digest"]]
        for layer in manifest["layers"]
    }
    assert found.pop(CARD_NAME) == b"# card"
    assert found == {
        path.relative_to(artifact).as_posix(): path.read_bytes()
        for path in artifact.rglob("*")
        if path.is_file()
    }
    config = json.loads(registry_config(registry))
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["descriptor"]["licenses"] == ["Apache-2.0"]
    assert url.endswith(next(name for name in registry.manifests if name.startswith("sha256:")))


def test_the_manifest_is_sent_last_of_all(registry, send):
    send()
    assert registry.asked[-1].method == "PUT"
    assert "/manifests/" in registry.asked[-1].path


def test_the_same_again_sends_nothing_but_the_manifest(registry, send):
    first = send()
    registry.asked.clear()
    assert send() == first
    assert {each.method for each in registry.asked} == {"HEAD", "PUT"}
    assert registry.count("PUT", MANIFEST) == 1


def test_large_files_go_in_chunks(registry, send):
    assert CHUNK_BYTES > CHUNK
    send()
    sizes = [len(each.body) for each in registry.asked if each.method == "PATCH"]
    assert max(sizes) == CHUNK
    assert weights(registry)


def test_what_comes_back_is_what_went(artifact, registry, send, reporter, tmp_path):
    send()
    pull(f"{registry.place}:q4", tmp_path / "back", reporter=reporter)
    back = {
        path.name: path.read_bytes() for path in (tmp_path / "back").rglob("*") if path.is_file()
    }
    assert back.pop(CARD_NAME) == b"# card"
    assert back == {path.name: path.read_bytes() for path in artifact.rglob("*") if path.is_file()}


def test_an_upload_that_was_cut_goes_on_where_it_was(registry, send, naps):
    registry.faults.append(Fault("PATCH", UPLOAD, cut=40))
    send()
    assert len(naps) == 1
    assert registry.bytes_sent("PATCH", UPLOAD) == sum(large_sizes(registry)), "no byte twice"


def test_a_later_call_sends_only_what_has_not_come(registry, send):
    registry.faults += [
        # Two chunks of a file come and half of the third, then nothing for longer than we wait.
        Fault("PATCH", UPLOAD, cut=150, times=0),
    ]
    fault = registry.faults[0]
    answer = registry.answer

    def after_two_chunks(request):
        if request.method == "PATCH" and registry.count("PATCH", UPLOAD) == 2:
            fault.times = 99
        return answer(request)

    registry.answer = after_two_chunks
    with pytest.raises(UnavailableDestinationError, match="nothing of it is visible"):
        send()
    assert registry.manifests == {}
    before = registry.bytes_sent("PATCH", UPLOAD)
    registry.answer, fault.times = answer, 0
    send()
    assert before > 2 * CHUNK
    assert registry.bytes_sent("PATCH", UPLOAD) == sum(large_sizes(registry)), "no byte twice"


def test_an_upload_that_the_registry_forgot_begins_anew(registry, send):
    registry.forgetful = True
    registry.faults.append(Fault("PATCH", UPLOAD, cut=40))
    send()
    assert weights(registry)


def test_a_registry_without_chunks_gets_files_in_one_piece(registry, send):
    registry.takes_chunks = False
    send()
    assert weights(registry)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_is_waited_for(registry, send, naps, status):
    answer = Answer(status, headers={"Retry-After": "9"})
    registry.faults += [
        Fault("POST", BEGIN, answer),
        Fault("PATCH", UPLOAD, answer),
        Fault("PUT", MANIFEST, answer),
    ]
    send()
    assert naps == [9.0, 9.0, 9.0]


def test_a_registry_that_stays_busy_shows_nothing_and_is_gone_on_with(registry, send):
    registry.faults.append(Fault("PUT", MANIFEST, Answer(503), times=3))
    with pytest.raises(UnavailableDestinationError, match="run the same command again"):
        send()
    assert registry.manifests == {}
    registry.asked.clear()
    send()
    assert registry.bytes_sent("PATCH", UPLOAD) == 0


def test_a_pause_of_an_hour_is_not_waited_for(registry, send, naps):
    registry.faults.append(Fault("POST", BEGIN, Answer(429, headers={"Retry-After": "3600"})))
    with pytest.raises(UnavailableDestinationError, match="asks for a pause"):
        send()
    assert naps == []


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_logins_of_docker_are_used(registry, send, nobody, login):
    registry.login = login
    host = registry.url.removeprefix("http://")
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (nobody / ".docker").mkdir()
    settings = {"auths": {host: {"auth": pair}}}
    (nobody / ".docker" / "config.json").write_text(json.dumps(settings))
    send()
    assert registry.manifests


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_without_a_login_nothing_is_sent(registry, send, login):
    registry.login = login
    with pytest.raises(UnavailableDestinationError, match="docker login") as caught:
        send()
    assert registry.blobs == {}
    assert TOKEN not in str(caught.value)


def test_who_may_not_write_is_told_so(registry, send):
    registry.faults.append(Fault("POST", BEGIN, Answer(403), times=9))
    with pytest.raises(UnavailableDestinationError, match="may not write"):
        send()
    assert registry.manifests == {}


def test_a_download_that_is_cut_goes_on(artifact, registry, send, reporter, patience, tmp_path):
    send()
    digest = next(name for name, data in registry.blobs.items() if data == b"weights" * 100)
    whole = Answer(200, b"weights" * 100, {"Content-Length": "700"}, cut=333)
    registry.faults.append(Fault("GET", f"/v2/org/tiny/blobs/{digest}", whole))
    pull(f"{registry.place}:q4", tmp_path / "back", reporter=reporter, patience=patience)
    ranges = [
        each.headers.get("Range")
        for each in registry.asked
        if each.path.endswith(digest) and each.method == "GET"
    ]
    assert ranges == [None, "bytes=333-"]
    assert (tmp_path / "back" / "model.gguf").read_bytes() == b"weights" * 100


def test_a_blob_with_other_bytes_is_not_taken(registry, send, reporter, patience, tmp_path):
    send()
    digest = next(name for name, data in registry.blobs.items() if data == b"weights" * 100)
    registry.blobs[digest] = b"another" * 100
    with pytest.raises(VerificationError, match="came damaged"):
        pull(f"{registry.place}:q4", tmp_path / "back", reporter=reporter, patience=patience)
    assert not (tmp_path / "back").exists()


def test_the_digest_stands_for_what_is_fetched(registry, send, patience):
    digest = send().partition("@")[2]
    registry.manifests[digest] = registry.manifests[digest] + b" "
    place = parse_place(f"{registry.place}@{digest}")
    with pytest.raises(VerificationError, match="another manifest"):
        OciSource(place, Redactor(), patience).files()


def test_a_tag_that_is_not_there(registry, reporter, tmp_path):
    with pytest.raises(UnavailableSourceError, match="MANIFEST_UNKNOWN"):
        pull(f"{registry.place}:none", tmp_path / "back", reporter=reporter)


def test_through_the_command_as_a_whole(artifact, registry, reporter, patience, tmp_path):
    sent = publish(artifact, f"{registry.place}:q4", reporter=reporter, patience=patience)
    pulled = pull(sent.url, tmp_path / "back", reporter=reporter)
    assert pulled == read_manifest(artifact)
    assert (tmp_path / "back" / CARD_NAME).read_text() == sent.card
