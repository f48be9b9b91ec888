"""The config of a folder, a file or a hub id, and nothing else of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest

from convert.config_only import read_config
from convert.errors import BadHeaderError, MissingFileError, UnavailableSourceError, UsageError
from convert.sources.object_storage import StoredObject
from tests.support.fake_hub import COMMIT, FakeHub, serving
from tests.support.runs import ROOT

CONFIG = {"architectures": ["LlamaForCausalLM"], "hidden_size": 8}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "small-model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    return made


def test_a_folder_and_its_file_are_the_same_model(folder):
    for path in (folder, folder / "config.json"):
        named = read_config(str(path))
        assert (named.label, named.raw) == ("small-model", CONFIG)


def test_a_file_of_another_name_is_called_by_it(folder):
    (folder / "bloomz.json").write_text(json.dumps(CONFIG))
    assert read_config(str(folder / "bloomz.json")).label == "bloomz"


def test_a_local_model_has_no_revision(folder):
    with pytest.raises(UsageError, match="so it has no revision"):
        read_config(str(folder), revision="main")


@pytest.mark.parametrize("source", ["./absent", "/absent/model", "absent", "a/b/c"])
def test_what_is_no_path_and_no_hub_id_is_refused(source):
    with pytest.raises(UnavailableSourceError, match="nothing at"):
        read_config(source)


def test_a_folder_without_a_config_and_a_config_without_an_object_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"config\.json is missing"):
        read_config(str(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(BadHeaderError, match="no JSON object"):
        read_config(str(tmp_path))


def test_of_a_hub_model_the_config_alone_is_fetched(tmp_path):
    files = {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": b"never"}
    with serving(FakeHub({COMMIT: files}, {"main": COMMIT})) as hub:
        script = (
            "from convert.config_only import read_config; "
            "named = read_config('org/name'); print(named.label, named.raw['hidden_size'])"
        )
        home = tmp_path / "home"
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home)}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.split() == ["org/name", "8"]
        names = {path.name for path in home.rglob("*") if path.is_symlink() or path.is_file()}
        assert "config.json" in names
        assert "model.safetensors" not in names


def test_a_hub_that_cannot_be_reached_is_named(tmp_path):
    script = "from convert.config_only import read_config; read_config('org/name')"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "UnavailableSourceError" in done.stderr
    assert "no folder of that name here" in done.stderr


def test_a_hub_that_does_not_answer_is_asked_once_and_what_is_cached_is_found(tmp_path):
    files = {"config.json": json.dumps(CONFIG).encode()}
    script = (
        "import sys; from convert.config_only import read_config; "
        "[print(read_config(name).raw['hidden_size'], flush=True) for name in sys.argv[1:]]"
    )
    with serving(FakeHub({COMMIT: files}, {"main": COMMIT})) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        environment.pop("HF_HUB_OFFLINE", None)
        ask = partial(
            subprocess.run, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
        )
        assert ask([sys.executable, "-c", script, "org/name"]).stdout == "8\n"
    gone = ask([sys.executable, "-c", script, "org/name", "org/other"])
    assert gone.stdout == "8\n"
    assert "UnavailableSourceError" in gone.stderr
    assert "Retry" not in gone.stderr


@pytest.fixture
def stored(monkeypatch):
    """Objects below any URL, by name."""
    objects = {}

    class Folder:
        def __init__(self, url):
            self.objects = {
                name: StoredObject(len(data), "e", "e") for name, data in objects.items()
            }

        def read(self, name, start, stop):
            return memoryview(objects[name][start:stop])

    monkeypatch.setattr("convert.sources.object_storage.ObjectFolder", Folder)
    return objects


def test_the_config_of_a_folder_in_object_storage(stored):
    stored["config.json"] = json.dumps(CONFIG).encode()
    named = read_config("s3://bucket/models/small/")
    assert (named.label, named.raw) == ("small", CONFIG)
    with pytest.raises(UsageError, match="so it has no revision"):
        read_config("s3://bucket/models/small", revision="main")


def test_a_folder_in_object_storage_without_a_usable_config_is_refused(stored):
    with pytest.raises(MissingFileError, match=r"s3://bucket/m/config\.json is missing"):
        read_config("s3://bucket/m")
    stored["config.json"] = bytes((16 << 20) + 1)
    with pytest.raises(MissingFileError, match="too large"):
        read_config("s3://bucket/m")
    stored["config.json"] = b"{"
    with pytest.raises(BadHeaderError, match="no JSON"):
        read_config("s3://bucket/m")
