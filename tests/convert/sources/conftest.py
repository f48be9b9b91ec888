from __future__ import annotations

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import close_session

from tests.support.fake_hub import COMMIT, FakeHub, serving, shards


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one sharded model, and an empty cache."""
    with serving(FakeHub({COMMIT: shards()}, {"main": COMMIT})) as fake:
        monkeypatch.setattr(constants, "ENDPOINT", fake.url)
        template = fake.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        close_session()
        yield fake
        close_session()
