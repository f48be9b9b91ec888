"""The way that large files take where hf_xet is installed, which it is by default."""

import pytest

from convert.errors import UnavailableDestinationError
from convert.publishing.commands import publish
from tests.support.fake_publishing_hub import COMMIT, NAME, STORE, XET_TOKEN
from tests.support.faulty_server import Answer, Fault

pytest.importorskip("hf_xet", reason="hf_xet is not installed")


@pytest.fixture
def send(artifact, hub, reporter, patience, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    return lambda: publish(artifact, NAME, reporter=reporter, patience=patience)


def test_the_store_has_everything_before_the_commit(hub, send):
    send()
    order = [each.path for each in hub.asked if each.path == COMMIT or "shards" in each.path]
    assert len(order) == 2
    assert order[1] == COMMIT
    assert hub.count("PUT", STORE) == 0
    assert "model.gguf" in hub.files


def test_a_store_that_refuses_leaves_nothing_to_see(hub, send):
    hub.faults.append(Fault("POST", "/xet/.*", Answer(403), times=99))
    with pytest.raises(UnavailableDestinationError, match="nothing of it is visible") as caught:
        send()
    assert len(hub.commits) == 1, "only what the repository was made with"
    assert hub.count("POST", COMMIT) == 0
    assert XET_TOKEN not in str(caught.value)
    hub.faults.clear()
    send()
    assert len(hub.commits) == 2
