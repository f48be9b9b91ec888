"""What is kept is found again only for the same name, files, packages and code."""

from __future__ import annotations

import pytest

from targets.remembering import remembered

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
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tricast"


def test_it_is_made_once(cache, make):
    assert remembered("it", ["numpy"], make) == MADE
    assert remembered("it", ["numpy"], make) == MADE
    assert make.calls == 1
    assert len(list(cache.iterdir())) == 1


def test_another_name_version_file_or_code_makes_it_anew(cache, make, monkeypatch, tmp_path):
    remembered("it", ["numpy"], make)
    remembered("that", ["numpy"], make)
    remembered("it", ["numpy"], make, code=["targets"])
    (tmp_path / "file").write_text("one")
    remembered("it", ["numpy"], make, files=[tmp_path / "file"])
    (tmp_path / "file").write_text("two")
    remembered("it", ["numpy"], make, files=[tmp_path / "file"])
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.0")
    remembered("it", ["numpy"], make)
    remembered("it", ["no-such-package"], make)
    assert make.calls == 7


def test_damage_makes_it_anew(cache, make):
    remembered("it", [], make)
    (path,) = cache.iterdir()
    data = path.read_bytes()
    for damaged in (data[:-30], data.replace(b"text", b"tixt"), b""):
        path.write_bytes(damaged)
        assert remembered("it", [], make) == MADE
    assert make.calls == 4


def test_an_error_is_not_kept(cache, make):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        remembered("it", [], fail)
    assert remembered("it", [], make) == MADE


def no_home():
    raise RuntimeError("could not determine home directory")


@pytest.mark.parametrize("where", ["file", "relative"])
def test_where_nothing_can_be_written_it_is_made_every_time(where, make, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file) if where == "file" else "relative")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    for _ in range(2):
        assert remembered("it", [], make) == MADE
    assert make.calls == 2
