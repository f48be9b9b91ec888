"""Manifests: equal bytes for equal contents, and every way in which files can differ is named."""

from __future__ import annotations

import json

import pytest

from convert.errors import BrokenInputError, MissingFileError, VerificationError
from convert.hashing import FileRecord, WrittenFile, hash_file
from convert.manifest import (
    SCHEMA_PATH,
    GateRecord,
    Manifest,
    SourceRecord,
    check_files,
    read_manifest,
    record_files,
    write_manifest,
)
from convert.recipe import Artifact
from convert.versions import installed_versions


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "sub" / "config.json").write_text("{}")
    write_manifest(tmp_path, manifest_of(tmp_path))
    return tmp_path


def manifest_of(folder):
    return Manifest(
        artifact="gguf-q8_0",
        target="gguf",
        recipe=Artifact(format="gguf", encoding="q8_0"),
        source=SourceRecord(
            label="m", digest="0", files=(FileRecord(path="a", size=1, sha256="2"),)
        ),
        versions=installed_versions(),
        gate=GateRecord(status="unverified"),
        notes=(),
        tensors=(),
        files=record_files(folder),
    )


def test_a_manifest_survives_the_round_trip_byte_for_byte(artifact):
    before = (artifact / "manifest.json").read_bytes()
    manifest = read_manifest(artifact)
    assert [record.path for record in manifest.files] == ["model.bin", "sub/config.json"]
    write_manifest(artifact, manifest)
    assert (artifact / "manifest.json").read_bytes() == before


def test_untouched_files_pass(artifact):
    check_files(artifact, read_manifest(artifact))


def test_a_flipped_byte_a_missing_and_an_added_file_are_all_named(artifact):
    manifest = read_manifest(artifact)
    (artifact / "model.bin").write_bytes(b"weighty")
    (artifact / "sub" / "config.json").unlink()
    (artifact / "extra").write_text("")
    with pytest.raises(VerificationError) as caught:
        check_files(artifact, manifest)
    assert "model.bin differs" in str(caught.value)
    assert "sub/config.json is missing" in str(caught.value)
    assert "extra was added" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_folder_without_a_manifest_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(MissingFileError, match=r"there is no folder .*nothing"):
        read_manifest(tmp_path / "nothing")


def test_a_folder_of_artifacts_is_answered_with_their_names(tmp_path):
    made = tmp_path / "gguf-q4_0"
    made.mkdir()
    made.joinpath("manifest.json").write_text("{}")
    with pytest.raises(MissingFileError) as caught:
        read_manifest(tmp_path)
    assert f"name the artifact: {made}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}'])
def test_a_broken_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BrokenInputError, match="not a manifest"):
        read_manifest(tmp_path)


def test_the_published_schema_is_the_one_that_manifests_follow(artifact):
    schema = json.loads(SCHEMA_PATH.read_text())
    assert schema == Manifest.model_json_schema()
    document = json.loads((artifact / "manifest.json").read_text())
    assert document.keys() == schema["properties"].keys()
    assert set(schema["required"]) <= document.keys()


def test_what_was_hashed_while_it_was_written_is_hashed_again_only_if_it_changed(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    written = {
        name: WrittenFile(
            FileRecord(path=name, size=1, sha256="as written"),
            (tmp_path / name).stat().st_mtime_ns,
        )
        for name in "ab"
    }
    (tmp_path / "b").write_text("changed")
    first, second = record_files(tmp_path, written)
    assert first.sha256 == "as written"
    assert second == hash_file(tmp_path, tmp_path / "b")
