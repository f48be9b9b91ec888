"""A run whose artifact is published to the hub when it has passed."""

from __future__ import annotations

import io

import pytest
from huggingface_hub import constants

from convert.artifact import PendingFolder
from convert.errors import OutputExistsError, UnavailableDestinationError, UsageError
from convert.outlets.hub_outlet import HubOutlet
from convert.outlets.stubs import is_stub
from convert.progress import Reporter
from targets.base import Layout
from tests.support import fake_publishing_hub
from tests.support.faulty_server import serving
from tests.support.finished import finished_artifact

URL = f"hf://{fake_publishing_hub.NAME}"
NAME = "gguf-q4_0"


@pytest.fixture
def hub(monkeypatch):
    with serving(fake_publishing_hub.FakePublishingHub()) as server:
        monkeypatch.setenv("HF_TOKEN", fake_publishing_hub.TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server


def run(outlet, out):
    with (
        outlet.opened(out, [NAME], Reporter(io.StringIO()), False),
        PendingFolder(out, NAME) as folder,
    ):
        outlet.require_absent(folder.final)
        outlet.follow(folder.path, Layout((), ()))("x", 0, 0, None)
        folder.path.rmdir()
        finished_artifact(folder.path)
        final = outlet.publish(folder)
        outlet.accompany(final)
        return final


def test_an_artifact_is_published_and_may_be_again(hub, tmp_path):
    outlet = HubOutlet(URL)
    final = run(outlet, tmp_path)
    assert is_stub(final)
    assert {"manifest.json", "README.md"} <= set(hub.files)
    assert outlet.place(final) == URL
    run(HubOutlet(URL), tmp_path)


def test_what_could_not_be_published_stays_and_can_be(hub, tmp_path):
    outlet = HubOutlet(URL)
    hub.make({"other.txt": b"not of ours"})
    with pytest.raises(UsageError) as raised:
        run(outlet, tmp_path)
    assert f"convert publish {tmp_path / NAME} {URL}" in raised.value.remedy
    with pytest.raises(OutputExistsError, match="not published"):
        outlet.require_absent(tmp_path / NAME)


def test_several_artifacts_and_no_token(tmp_path, monkeypatch, hub):
    outlet = HubOutlet(URL)
    with pytest.raises(UsageError, match="one artifact"):
        outlet.opened(tmp_path, ["a", "b"], Reporter(io.StringIO()), False).__enter__()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UnavailableDestinationError, match="no token"):
        outlet.opened(tmp_path, ["a"], Reporter(io.StringIO()), False).__enter__()


@pytest.mark.parametrize("wrong", ["hf://name", "hf://org/name@v1"])
def test_no_repository(wrong):
    with pytest.raises(UsageError):
        HubOutlet(wrong)
