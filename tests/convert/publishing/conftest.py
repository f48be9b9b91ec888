"""An artifact to publish, a hub and a registry to publish it to, and nobody's real logins."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from convert.progress import Reporter
from convert.publishing.patience import Patience
from tests.support import fake_publishing_hub, fake_registry
from tests.support.faulty_server import serving
from tests.support.finished import finished_artifact


@pytest.fixture
def artifact(tmp_path):
    """Of a few bytes; its gate passed."""
    return finished_artifact(tmp_path / "gguf-q4_0")


@pytest.fixture
def reporter():
    return Reporter(io.StringIO())


@pytest.fixture
def naps():
    """Seconds that somebody would have waited."""
    return []


@pytest.fixture
def patience(naps):
    return Patience(attempts=3, sleep=naps.append)


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """A home without logins."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def registry():
    with serving(fake_registry.FakeRegistry()) as server:
        yield server


@pytest.fixture
def hub(monkeypatch, nobody, naps):
    """The hub that huggingface_hub talks to, logged in by HF_TOKEN."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with serving(fake_publishing_hub.FakePublishingHub()) as server:
        monkeypatch.setenv("HF_TOKEN", fake_publishing_hub.TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(nobody / "token"))
        monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=naps.append))
        yield server
