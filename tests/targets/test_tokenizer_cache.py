"""What is kept is found again only for the same files, packages and arguments."""

from __future__ import annotations

import pytest

from targets.tokenizer_cache import remembered

MADE = {"a.xml": b"text", "a.bin": b"\0\xff"}


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return MADE


@pytest.fixture
def make():
    return Maker()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "tokenizer.json").write_text("{}")
    return checkpoint


def kept(tmp_path):
    return list((tmp_path / "cache" / "tricast").iterdir())


def test_it_is_made_once(folder, make, tmp_path):
    assert remembered("it", folder, ["numpy"], make) == MADE
    assert remembered("it", folder, ["numpy"], make) == MADE
    assert make.calls == 1
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "merges.txt", "additional_chat_templates/tool.jinja"]
)
def test_another_file_makes_it_anew(name, folder, make):
    remembered("it", folder, [], make)
    (folder / "additional_chat_templates").mkdir()
    (folder / name).write_text("other")
    remembered("it", folder, [], make)
    assert make.calls == 2


def test_weights_are_not_looked_at(folder, make):
    remembered("it", folder, [], make)
    (folder / "model.safetensors").write_bytes(b"weights")
    remembered("it", folder, [], make)
    assert make.calls == 1


def test_another_name_or_version_makes_it_anew(folder, make, monkeypatch):
    remembered("it", folder, ["numpy"], make)
    remembered("that", folder, ["numpy"], make)
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.0")
    remembered("it", folder, ["numpy"], make)
    remembered("it", folder, ["no-such-package"], make)
    assert make.calls == 4


def test_damage_makes_it_anew(folder, make, tmp_path):
    remembered("it", folder, [], make)
    (path,) = kept(tmp_path)
    data = path.read_bytes()
    for damaged in (data[:-30], data.replace(b"text", b"tixt"), b""):
        path.write_bytes(damaged)
        assert remembered("it", folder, [], make) == MADE
    assert make.calls == 4


def test_an_error_is_not_kept(folder, make):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        remembered("it", folder, [], fail)
    assert remembered("it", folder, [], make) == MADE


def no_home():
    raise RuntimeError("could not determine home directory")


@pytest.mark.parametrize("where", ["file", "relative"])
def test_where_nothing_can_be_written_it_is_made_every_time(
    where, folder, make, tmp_path, monkeypatch
):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file) if where == "file" else "relative")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    for _ in range(2):
        assert remembered("it", folder, [], make) == MADE
    assert make.calls == 2
