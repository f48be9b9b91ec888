from __future__ import annotations

import pytest
from huggingface_hub import constants

from convert.errors import UnavailableSourceError
from convert.sources.hub import open_snapshot
from tests.support.fake_hub import COMMIT, LATER, shards


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_small_files_are_there_and_safetensors_are_to_come(hub):
    snapshot = open_snapshot("org/name")
    assert (snapshot.name, snapshot.commit) == ("org/name", COMMIT)
    assert names(snapshot.folder) == [
        "config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
    ]
    assert snapshot.coming == {
        name: len(shards()[name])
        for name in ("consolidated.safetensors", "m-1.safetensors", "m-2.safetensors")
    }


def test_code_and_subfolders_are_never_asked_for(hub):
    open_snapshot("org/name")
    assert not [path for _, path, _ in hub.asked if path.endswith(".py") or "onnx" in path]


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_a_revision_is_settled_once(hub, revision):
    """The branch moves right after it was looked up."""
    hub.branches["v1"] = COMMIT
    hub.commits[LATER] = {"config.json": b"{}"}
    look_up = hub.files

    def move_on(asked):
        found = look_up(asked)
        hub.branches = dict.fromkeys(hub.branches, LATER)
        return found

    hub.files = move_on
    snapshot = open_snapshot("org/name", revision)
    assert snapshot.commit == COMMIT
    assert (snapshot.folder / "config.json").read_bytes() == shards()["config.json"]
    resolved = [path for _, path, _ in hub.asked if "/resolve/" in path]
    assert resolved
    assert all(f"/resolve/{COMMIT}/" in path for path in resolved)


def test_pickles_come_at_once_where_there_are_no_safetensors(hub):
    hub.commits[COMMIT] = {
        "config.json": b"{}",
        "pytorch_model.bin": b"pickle",
        "training_args.bin": b"another pickle",
        "onnx/model.safetensors": b"another format",
    }
    snapshot = open_snapshot("org/name")
    assert names(snapshot.folder) == ["config.json", "pytorch_model.bin"]
    assert snapshot.coming == {}


def test_safetensors_win_over_pickles(hub):
    hub.commits[COMMIT] = {**shards(), "pytorch_model.bin": b"pickle"}
    assert "pytorch_model.bin" not in names(open_snapshot("org/name").folder)


def go_offline(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def break_down(hub, monkeypatch):
    hub.refusals[""] = (503, "")


@pytest.mark.parametrize("disconnect", [go_offline, break_down])
def test_without_the_hub_an_earlier_download_is_used(hub, monkeypatch, disconnect):
    hub.commits[COMMIT].pop("consolidated.safetensors")
    folder = open_snapshot("org/name").folder
    for name in ("m-1.safetensors", "m-2.safetensors"):
        (folder / name).write_bytes(hub.commits[COMMIT][name])
    disconnect(hub, monkeypatch)
    hub.asked.clear()
    again = open_snapshot("org/name")
    assert (again.folder, again.commit, again.coming) == (folder, COMMIT, {})
    assert not [path for _, path, _ in hub.asked if "/resolve/" in path]


@pytest.mark.parametrize("arrived", [["m-1.safetensors"], []])
def test_offline_half_a_checkpoint_is_none(hub, monkeypatch, arrived):
    folder = open_snapshot("org/name").folder
    for name in arrived:
        (folder / name).write_bytes(hub.commits[COMMIT][name])
    go_offline(hub, monkeypatch)
    with pytest.raises(UnavailableSourceError, match="org/name") as caught:
        open_snapshot("org/name")
    assert "unset HF_HUB_OFFLINE" in str(caught.value)


def test_offline_without_an_earlier_download(hub, monkeypatch):
    go_offline(hub, monkeypatch)
    with pytest.raises(UnavailableSourceError, match="org/name") as caught:
        open_snapshot("org/name")
    assert "unset HF_HUB_OFFLINE" in str(caught.value)
    assert hub.asked == []


def test_a_model_that_is_not_there(hub):
    with pytest.raises(UnavailableSourceError, match="org/other") as caught:
        open_snapshot("org/other")
    assert "check the name" in str(caught.value)


def test_a_revision_that_is_not_there(hub):
    with pytest.raises(UnavailableSourceError, match=r"'org/name' at 'v9'") as caught:
        open_snapshot("org/name", "v9")
    assert "check the revision" in str(caught.value)


@pytest.mark.parametrize(("status", "code"), [(401, ""), (403, "GatedRepo"), (403, "")])
def test_a_model_that_is_not_for_us(hub, status, code):
    hub.refusals = {"config.json": (status, code)}
    with pytest.raises(UnavailableSourceError, match="org/name") as caught:
        open_snapshot("org/name")
    assert "hf auth login" in str(caught.value)


def test_a_name_that_the_hub_does_not_allow():
    with pytest.raises(UnavailableSourceError, match="org/na me"):
        open_snapshot("org/na me??")


def test_a_hub_that_does_not_answer(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnavailableSourceError, match="org/name") as caught:
        open_snapshot("org/name")
    assert "check the name and the connection" in str(caught.value)
