"""The key of a run: equal for equal inputs, another for every input that changes."""

from __future__ import annotations

import shutil

import pytest

from convert import run_key as module
from convert.asking import recipe_of
from convert.errors import UsageError
from convert.run_key import main, run_key
from tests.support.runs import TINY_LLAMA


def key(model, *, to=("onnx:int8",), arguments=(), **changes):
    return run_key(recipe_of(str(model), None, to, **changes), arguments)


def test_the_key_depends_on_contents_and_not_on_places(tmp_path, monkeypatch):
    model = tmp_path / "elsewhere"
    shutil.copytree(TINY_LLAMA, model)
    text = tmp_path / "t.txt"
    text.write_text("a")
    first = key(TINY_LLAMA, calibrate=str(text))
    moved = tmp_path / "moved.txt"
    moved.write_text("a")
    assert key(model, calibrate=str(moved)) == first
    others = [
        key(model),
        key(model, to=("onnx:int4",), calibrate=str(text)),
        key(model, calibrate=str(text), arguments=("--strict",)),
    ]
    text.write_text("b")
    others.append(key(model, calibrate=str(text)))
    config = model / "config.json"
    config.write_text(config.read_text() + " ")
    others.append(key(model))
    monkeypatch.setattr(module, "installed_versions", dict)
    others.append(key(model))
    assert len({first, *others}) == 1 + len(others)


def test_a_model_on_the_hub_is_known_by_its_commit(monkeypatch):
    from convert.sources import hub

    class Snapshot:
        commit = "abc"

    monkeypatch.setattr(hub, "open_snapshot", lambda name, revision: Snapshot)
    first = key("organisation/model", revision="main")
    assert key("organisation/model", revision="v1") == first
    Snapshot.commit = "def"
    assert key("organisation/model", revision="main") != first


def test_the_program_prints_it_or_says_why_not(capsys):
    assert main(["--recipe", "three-ways", "--model", str(TINY_LLAMA)]) == 0
    assert capsys.readouterr().out.startswith("tricast-")
    assert main(["--recipe", "three-ways"]) == 2
    assert "no model is named" in capsys.readouterr().err
    with pytest.raises(UsageError):
        run_key(recipe_of(None, None, ("onnx",)))
