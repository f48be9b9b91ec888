"""What is kept is found again only for the same files of a tokenizer."""

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


def test_it_is_made_once(folder, make):
    assert remembered("it", folder, ["numpy"], make) == MADE
    assert remembered("it", folder, ["numpy"], make) == MADE
    assert make.calls == 1


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
