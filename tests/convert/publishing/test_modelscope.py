import sys

import pytest

from convert.errors import UnavailableDestinationError, UnavailableSourceError, UsageError
from convert.publishing import modelscope
from convert.publishing.commands import publish, pull
from convert.publishing.contents import CARD_NAME
from tests.support.fake_modelscope import COMMIT, NAME, STORE, TOKEN, FakeModelScope
from tests.support.faulty_server import Answer, Fault, serving
from tests.support.finished import finished_artifact

pytest.importorskip("modelscope_hub", reason="the extra 'modelscope' is not installed")
REPO = f"modelscope://{NAME}"


@pytest.fixture
def scope(monkeypatch, nobody):
    """With a store for what is larger than 600 bytes: the weights."""
    from modelscope_hub import constants

    monkeypatch.setattr(constants, "UPLOAD_LFS_FORCE_THRESHOLD_BYTES", 600)
    with serving(FakeModelScope()) as server:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", TOKEN)
        monkeypatch.setenv("MODELSCOPE_HOME", str(nobody / "modelscope"))
        monkeypatch.setenv("MODELSCOPE_CACHE", str(nobody / "modelscope-cache"))
        yield server


@pytest.fixture
def send(artifact, scope, reporter, patience):
    def send(**options):
        return publish(artifact, REPO, reporter=reporter, patience=patience, **options)

    return send


def ours(scope):
    return {
        name: data
        for name, data in scope.files.items()
        if name not in (".gitattributes", "configuration.json")
    }


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_goes_in_one_commit_and_comes_back(artifact, scope, send, reporter, tmp_path):
    sent = send()
    assert len(scope.commits) == 2
    assert scope.visibility == 1, "private"
    assert ours(scope) == {**files_of(artifact), CARD_NAME: sent.card.encode()}
    assert sent.url == f"{scope.url}/models/{NAME}"
    pull(REPO, tmp_path / "back", reporter=reporter)
    assert files_of(tmp_path / "back") == ours(scope)


def test_public_on_request_and_never_by_accident(scope, send):
    send(public=True)
    assert scope.visibility == 5
    with pytest.raises(UsageError, match="is public"):
        send()


def test_another_artifact_replaces_the_first(scope, send, reporter, tmp_path):
    send()
    (tmp_path / "other").mkdir()
    other = finished_artifact(tmp_path / "other" / "x", derived=False)
    publish(other, REPO, reporter=reporter)
    assert set(ours(scope)) == {*files_of(other), CARD_NAME}


def test_a_commit_that_fails_shows_nothing_and_blobs_are_not_sent_again(scope, send):
    scope.faults.append(Fault("POST", COMMIT, Answer(403, b"{}"), times=9))
    with pytest.raises(UnavailableDestinationError, match="nothing of it is visible"):
        send()
    assert len(scope.commits) == 1
    assert b"weights" * 100 in scope.blobs.values()
    scope.faults.clear()
    scope.asked.clear()
    send()
    assert scope.count("PUT", STORE) == 0
    assert len(scope.commits) == 2


def test_a_cut_upload_is_sent_again(scope, send, naps):
    scope.faults.append(Fault("PUT", STORE, cut=100))
    send()
    assert naps == [1.0]
    assert b"weights" * 100 in scope.blobs.values()
    assert len(scope.commits) == 2


def test_a_repository_of_other_things_is_left_alone(scope, send):
    scope.commits = [{"weights.bin": b"somebody's"}]
    with pytest.raises(UsageError, match="not of an earlier publication"):
        send()


def test_a_wrong_token(scope, send, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-another-token")
    with pytest.raises(UnavailableDestinationError, match="MODELSCOPE_API_TOKEN") as caught:
        send()
    assert "ms-another-token" not in str(caught.value)


def test_no_token(scope, send, monkeypatch):
    monkeypatch.delenv("MODELSCOPE_API_TOKEN")
    with pytest.raises(UnavailableDestinationError, match="no token"):
        send()
    assert scope.asked == []


def test_nothing_there(scope, reporter, tmp_path):
    with pytest.raises(UnavailableSourceError, match="does not give"):
        pull(REPO, tmp_path / "back", reporter=reporter)


def test_without_the_sdk(send, monkeypatch):
    monkeypatch.setitem(sys.modules, "modelscope_hub", None)
    with pytest.raises(UsageError, match="SDK is not installed") as caught:
        send()
    assert "tricast[modelscope]" in caught.value.remedy


def test_small_texts_stay_in_the_commit(artifact):
    from convert.publishing.contents import Item

    assert not modelscope._is_large(Item("config.json", 1 << 30, "", b""))
    assert modelscope._is_large(Item("openvino_model.bin", 1, "", b""))
    assert modelscope._is_large(Item("tokenizer.json", 1 << 20, "", b""))
    assert not modelscope._is_large(Item("manifest.json", 100, "", b""))
