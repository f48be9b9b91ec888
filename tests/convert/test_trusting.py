"""`convert sign`, `convert diff` and `convert verify --key`, as users type them."""

from __future__ import annotations

import json

import pytest

import convert
from convert.__main__ import main
from convert.trusting import diff, sign
from tests.support.finished import finished_artifact
from tests.support.keys import new_key


@pytest.fixture
def artifact(tmp_path):
    return finished_artifact(tmp_path / "gguf-q4_0")


def test_what_is_signed_verifies_with_the_key_alone_and_nothing_else_does(
    artifact, tmp_path, capsys
):
    mine, other = (new_key(tmp_path, name) for name in ("mine", "other"))
    verify = ["verify", str(artifact), "--no-gate"]
    assert main([*verify, "--key", str(mine.public)]) == 3
    assert main(["sign", str(artifact), "--key", str(mine.private)]) == 0
    assert capsys.readouterr().out == f"{artifact / 'model.sig'}\n"
    assert main([*verify, "--key", str(mine.public)]) == 0
    assert "good, by" in capsys.readouterr().err
    assert main(verify) == 0
    assert "signed, not checked" in capsys.readouterr().err
    assert main([*verify, "--key", str(other.public)]) == 3
    assert main([*verify, "--key", str(tmp_path / "absent")]) == 6
    assert main([*verify, "--issuer", "https://example.org"]) == 2
    assert main(["sign", str(artifact), "--key", str(mine.private)]) == 2


def test_who_signs_must_be_clear(artifact, tmp_path, capsys):
    mine = new_key(tmp_path, "mine")
    assert main(["sign", str(artifact)]) == 2
    assert main(["sign", str(artifact), "--keyless", "--key", str(mine.private)]) == 2
    assert not (artifact / "model.sig").exists()


def test_a_skipped_gate_is_signed_as_such(tmp_path, capsys):
    folder = finished_artifact(tmp_path / "a", gate={"status": "unverified"})
    assert main(["sign", str(folder), "--key", str(new_key(tmp_path, "mine").private)]) == 0
    assert "gate was skipped" in capsys.readouterr().out


def test_differences_can_end_the_program(artifact, tmp_path, capsys):
    other = finished_artifact(tmp_path / "b", notes=("another",))
    same = ["diff", str(artifact), str(artifact / "manifest.json"), "--exit-code"]
    assert main(same) == 0
    differs = ["diff", str(artifact), str(other)]
    assert main(differs) == 0
    assert "a note -> another" in capsys.readouterr().out
    assert main([*differs, "--exit-code", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["parts"] == {"notes": {"0": ["a note", "another"]}}


def test_programs_have_both(artifact, tmp_path):
    assert (convert.sign, convert.diff) == (sign, diff)
    assert convert.diff(artifact, artifact).is_same
    manifest = convert.sign(artifact, key=new_key(tmp_path, "mine").private)
    assert manifest.artifact == "gguf-q4_0"
    found = convert.verify(artifact, gate=False, key=tmp_path / "mine.pub")
    assert found.manifest == manifest
