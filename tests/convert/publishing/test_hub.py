import json

import pytest

from convert.errors import (
    UnavailableDestinationError,
    UnavailableSourceError,
    UnsafePathError,
    UsageError,
    VerificationError,
)
from convert.publishing.commands import publish, pull
from convert.publishing.contents import CARD_NAME
from convert.publishing.destination import HubRepository
from convert.publishing.hub_source import HubSource
from convert.publishing.redaction import Redactor
from tests.support.fake_publishing_hub import COMMIT, NAME, STORE, TOKEN
from tests.support.faulty_server import Answer, Fault
from tests.support.finished import finished_artifact


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def send(artifact, hub, reporter, patience):
    def send(**options):
        return publish(artifact, NAME, reporter=reporter, patience=patience, **options)

    return send


def test_everything_comes_in_one_commit_into_a_private_repository(artifact, hub, send):
    sent = send()
    assert len(hub.commits) == 2, "the empty repository, and ours"
    assert hub.private
    assert sent.url == f"{hub.url}/{NAME}/commit/{2:040x}"
    expected = {**files_of(artifact), CARD_NAME: sent.card.encode()}
    assert {name: data for name, data in hub.files.items() if name != ".gitattributes"} == expected


def test_public_on_request(hub, send):
    send(public=True)
    assert not hub.private


def test_what_comes_back_is_what_went(artifact, hub, send, reporter, tmp_path):
    sent = send()
    pull(f"hf://{NAME}", tmp_path / "back", reporter=reporter)
    back = files_of(tmp_path / "back")
    assert back.pop(CARD_NAME) == sent.card.encode()
    assert back == files_of(artifact)


def test_the_same_again_makes_no_commit_and_sends_no_blob(hub, send):
    send()
    hub.asked.clear()
    send()
    assert len(hub.commits) == 2
    assert hub.bytes_sent("PUT", STORE) == 0


def test_another_artifact_replaces_the_files_of_the_first(hub, send, tmp_path, reporter):
    send()
    other = tmp_path / "other"
    other.mkdir()
    changed = finished_artifact(other / "x", derived=False)
    publish(changed, NAME, reporter=reporter)
    names = set(hub.files) - {".gitattributes", CARD_NAME}
    assert names == set(files_of(changed))


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_write_is_told_so_and_nothing_is_there(hub, send, status):
    hub.faults.append(Fault("POST", "/api/repos/create", Answer(status)))
    with pytest.raises(UnavailableDestinationError, match="nothing of it is visible") as caught:
        send()
    assert "hf auth login" in str(caught.value)
    assert hub.commits == []
    assert hub.blobs == {}


def test_a_busy_hub_is_waited_for_as_long_as_it_asks(hub, send, naps):
    hub.faults.append(Fault("POST", COMMIT, Answer(429, headers={"Retry-After": "7"}), times=2))
    send()
    assert naps == [7.0, 7.0]
    assert len(hub.commits) == 2


def test_blobs_that_the_store_is_too_busy_for_are_sent_again(hub, send):
    hub.faults.append(Fault("PUT", STORE, Answer(429, headers={"Retry-After": "1"})))
    send()
    assert len(hub.commits) == 2


def test_a_hub_that_stays_busy_is_given_up_and_gone_on_with_later(hub, send):
    hub.faults.append(Fault("POST", COMMIT, Answer(503), times=3))
    with pytest.raises(UnavailableDestinationError, match="503"):
        send()
    assert len(hub.commits) == 1, "only what the repository was made with"
    assert len(hub.blobs) == 1, "the weights have come"
    hub.asked.clear()
    send()
    assert hub.bytes_sent("PUT", STORE) == 0
    assert len(hub.commits) == 2


def test_a_connection_that_is_cut_half_way_publishes_nothing(hub, send):
    hub.faults.append(Fault("PUT", STORE, cut=300, times=99))
    with pytest.raises(UnavailableDestinationError):
        send()
    assert len(hub.commits) == 1
    assert hub.blobs == {}
    hub.faults.clear()
    send()
    assert len(hub.commits) == 2


def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, send):
    def lose(request):
        hub._commit(request.body)

    hub.broken_off = lose
    hub.faults.append(Fault("POST", COMMIT, cut=1 << 30))
    send()
    assert len(hub.commits) == 2


def test_a_repository_of_other_things_is_left_alone(hub, send):
    hub.make({"weights.bin": b"somebody's"})
    with pytest.raises(UsageError, match="not of an earlier publication") as caught:
        send()
    assert "weights.bin" in caught.value.found
    assert len(hub.commits) == 1


def test_a_manifest_of_something_else_is_one_of_the_other_things(hub, send):
    hub.make({"manifest.json": json.dumps({"files": [{"path": "a.bin"}]}).encode(), "a.bin": b""})
    with pytest.raises(UsageError, match="not of an earlier publication"):
        send()


def test_an_artifact_does_not_become_public_by_accident(hub, send):
    hub.make({".gitattributes": b""}, private=False)
    with pytest.raises(UsageError, match="is public"):
        send()
    send(public=True)
    assert len(hub.commits) == 2


def test_without_a_token_nobody_is_asked(hub, send, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UnavailableDestinationError, match="no token"):
        send()
    assert hub.asked == []


def test_offline_nobody_is_asked(hub, send, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableDestinationError, match="HF_HUB_OFFLINE"):
        send()
    assert hub.asked == []


def test_a_damaged_copy_is_not_taken(hub, send, reporter, tmp_path):
    send()
    hub.commits[-1]["model.gguf"] = b"other weights"
    with pytest.raises(VerificationError, match="not what its manifest says"):
        pull(NAME, tmp_path / "back", reporter=reporter)
    assert not (tmp_path / "back").exists()


def test_a_file_outside_the_folder_is_refused(hub, send):
    send()
    hub.commits[-1]["../outside"] = b"x"
    with pytest.raises(UnsafePathError):
        HubSource(HubRepository(NAME), Redactor()).files()


def test_there_is_nothing_to_pull(hub, reporter, tmp_path):
    with pytest.raises(UnavailableSourceError, match="hub does not give"):
        pull(NAME, tmp_path / "back", reporter=reporter)


def test_the_token_is_the_one_of_the_request_and_of_nothing_else(hub, send):
    send()
    assert any(each.headers.get("Authorization") == f"Bearer {TOKEN}" for each in hub.asked)
    assert all("Authorization" not in each.headers for each in hub.asked if "/store/" in each.path)
    assert not any(TOKEN.encode() in data for data in hub.files.values())
