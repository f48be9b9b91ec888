from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from convert.errors import UnavailableSourceError
from convert.sources.hub import download


class TransportError(Exception):
    """What the HTTP client of the hub's library may raise: no OSError."""


class Hub:
    """A hub with one model, or none, that remembers what it was asked for."""

    def __init__(self, monkeypatch, folder, files=(), error=None, cached=None):
        self.folder, self.files, self.error, self.cached = folder, files, error, cached
        self.asked = []
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", self.snapshot_download)

    def model_info(self, name, *, revision, files_metadata):
        if self.error:
            raise self.error
        siblings = [SimpleNamespace(rfilename=file) for file in self.files]
        return SimpleNamespace(sha="c0ffee", siblings=siblings)

    def snapshot_download(self, name, *, revision, local_files_only=False, **patterns):
        if local_files_only:
            if self.cached is None:
                raise LocalEntryNotFoundError("not cached")
            return str(self.cached)
        self.asked.append((name, revision, patterns))
        return str(self.folder)


@pytest.mark.parametrize(
    ("files", "weights", "others"),
    [
        (["model.safetensors", "pytorch_model.bin"], "*.safetensors", "pytorch_model*.bin"),
        (["pytorch_model-1.bin"], "pytorch_model*.bin", "*.safetensors"),
        (["onnx/model.safetensors", "pytorch_model.bin"], "pytorch_model*.bin", "*.safetensors"),
    ],
)
def test_the_resolved_commit_and_one_form_of_weights_are_downloaded(
    monkeypatch, tmp_path, files, weights, others
):
    hub = Hub(monkeypatch, tmp_path, files)
    assert download("org/name", "main") == (tmp_path, "c0ffee")
    ((name, revision, patterns),) = hub.asked
    assert (name, revision) == ("org/name", "c0ffee")
    assert weights in patterns["allow_patterns"]
    assert others not in patterns["allow_patterns"]


def test_code_is_never_downloaded(monkeypatch, tmp_path):
    from huggingface_hub.utils import filter_repo_objects

    files = ["config.json", "modeling_x.py", "model.safetensors", "sub/config.json", "README.md"]
    hub = Hub(monkeypatch, tmp_path, files)
    download("org/name")
    patterns = hub.asked[0][2]
    assert list(filter_repo_objects(files, **patterns)) == ["config.json", "model.safetensors"]


def not_found():
    return RepositoryNotFoundError("no such repository", response=SimpleNamespace(
        headers={}, status_code=404, request=None))  # fmt: skip


@pytest.mark.parametrize(
    "error", [ConnectionError("offline"), TransportError("no route"), not_found()]
)
def test_what_cannot_be_reached_is_refused_with_advice(monkeypatch, tmp_path, error):
    Hub(monkeypatch, tmp_path, error=error)
    with pytest.raises(UnavailableSourceError, match="org/name") as caught:
        download("org/name", "v1")
    assert "check the name and the connection" in str(caught.value)


def test_offline_an_earlier_download_is_used(monkeypatch, tmp_path):
    cached = tmp_path / "snapshots" / "beef"
    Hub(monkeypatch, tmp_path, error=ConnectionError("offline"), cached=cached)
    assert download("org/name") == (cached, "beef")


def test_a_name_that_the_hub_does_not_allow():
    with pytest.raises(UnavailableSourceError):
        download("org/na me??")


def test_the_offline_switch_gives_the_same_error(monkeypatch, tmp_path):
    """With HF_HUB_OFFLINE nothing is asked of the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UnavailableSourceError):
        download("org/name")
    assert not list(Path(tmp_path).rglob("*.safetensors"))
