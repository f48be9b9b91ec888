"""Two artifacts, manifests or files: what differs is found and told in numbers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.differences.comparison import compare
from convert.differences.subjects import read_subject
from convert.differences.told import as_json, as_text
from convert.differences.values import Change
from convert.errors import BrokenInputError, UnavailableSourceError
from convert.manifest import GateRecord, MixRecord, TensorRecord
from convert.recipe import Artifact
from tests.support.finished import finished_artifact, gate_record


def mix(**costs):
    return MixRecord(bits=5.0, kld=0.1, predicted=0.1, tokens=9, costs=costs)


@pytest.fixture
def one(tmp_path):
    return finished_artifact(tmp_path / "one", mix=mix(w=0.5, v=0.1))


@pytest.fixture
def other(tmp_path):
    folder = tmp_path / "other"
    tensors = (
        TensorRecord(name="w", shape=(4, 32), role="linear", encoding="q8_0", bytes=136),
        TensorRecord(name="n", shape=(32,), role="other", encoding="f32", bytes=128),
        TensorRecord(name="new", shape=(2,), role="other", encoding="f32", bytes=8),
    )
    return finished_artifact(
        folder,
        tensors=tensors,
        recipe=Artifact(format="gguf", encoding="q8_0"),
        versions={"python": "3.12", "tricast": "0.1.0"},
        gate=gate_record(mean_kld=0.005),
        mix=mix(w=0.25, u=0.1),
    )


def test_what_is_the_same_under_another_name_does_not_differ(one, tmp_path):
    copy = shutil.copytree(one, tmp_path / "copy")
    for found in (compare(one, copy), compare(one / "manifest.json", copy)):
        assert found.is_same
        assert "nothing differs" in as_text(found)
        assert json.loads(as_json(found))["same"]


def test_every_kind_of_difference_is_found(one, other):
    found = compare(one, other)
    assert not found.is_same
    assert found.parts["recipe"] == (Change("encoding", "q4_0", "q8_0"),)
    assert {change.place for change in found.parts["versions"]} == {"python", "torch"}
    assert found.parts.keys() == {"recipe", "versions"}
    assert found.files == {}
    assert found.gate == {"overall.mean_kld": (0.01, 0.005)}
    assert found.errors == {"w": (0.5, 0.25)}
    assert set(found.tensors) == {"w", "new"}
    assert found.tensors["new"][0] is None
    sums = {one.encoding: (one.tensors, one.nbytes) for one in found.encodings}
    assert sums == {
        "q4_0": ((1, 0), (72, 0)),
        "q8_0": ((0, 1), (0, 136)),
        "f32": ((1, 2), (128, 136)),
    }


def test_it_is_told_to_people(one, other):
    said = as_text(compare(one, other))
    for line in (
        "encoding: q4_0 -> q8_0",
        "torch: 2.13.0+cpu -> (absent)",
        "f32: 1 -> 2 tensors, 128 -> 136 bytes, +8 (+6.2%)",
        "w: q4_0 -> q8_0, 72 -> 136 bytes",
        "new: (absent) -> f32 2, 8 bytes",
        "overall.mean_kld: 0.01 -> 0.005, -0.005 (-50.0%)",
        "w: 0.5 -> 0.25, -0.25 (-50.0%)",
    ):
        assert f"  {line}\n" in f"{said}\n", line
    assert "and 1 more" in as_text(compare(one, other), shown=1)


def test_it_is_told_to_programs(one, other):
    document = json.loads(as_json(compare(one, other)))
    assert document["parts"]["versions"]["torch"] == ["2.13.0+cpu", None]
    assert document["gate"]["overall.mean_kld"] == {"figures": [0.01, 0.005], "delta": -0.005}
    assert document["tensors"]["new"] == [None, {"shape": [2], "encoding": "f32", "bytes": 8}]
    assert document["encodings"]["f32"] == {"tensors": [1, 2], "bytes": [128, 136]}
    assert [one["kind"] for one in document["subjects"]] == ["artifact", "artifact"]


def test_files_are_compared_by_hash_and_source_files_by_path(one, tmp_path):
    folder = tmp_path / "changed"
    folder.mkdir()
    (folder / "added.txt").write_text("12345")
    other = finished_artifact(folder / "x", artifact="x")
    (other / "model.gguf").write_bytes(b"other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["source"]["files"].pop(0)
    manifest["files"][0] |= {"size": 5, "sha256": "0" * 64}
    (other / "manifest.json").write_text(json.dumps(manifest))
    found = compare(one, other)
    assert found.files.keys() == {"model.gguf"}
    assert "1 alike, 1 not; 702 -> 7 bytes, -695 (-99.0%)" in as_text(found)
    assert {change.place for change in found.parts["source"]} == {"files.config.json"}


def test_a_skipped_gate_has_no_figures_to_compare(one, tmp_path):
    other = finished_artifact(tmp_path / "other", gate=GateRecord(status="unverified"))
    found = compare(one, other)
    assert found.parts["gate"][0] == Change("status", "passed", "unverified")
    assert "overall.top1: 0.95 -> not measured" in as_text(found)


def test_checkpoints_are_compared_as_they_are_stored(one, tmp_path):
    for name, dtype in (("a", np.float32), ("b", np.float16)):
        (tmp_path / name).mkdir()
        save_file({"w": np.ones((2, 3), dtype)}, tmp_path / name / "model.safetensors")
    found = compare(tmp_path / "a", tmp_path / "b" / "model.safetensors")
    assert found.tensors["w"][0].encoding == "f32"
    assert found.tensors["w"][1].nbytes == 12
    assert found.files.keys() == {"model.safetensors"}
    mixed = compare(one / "manifest.json", tmp_path / "a")
    assert "only one of them has a manifest" in as_text(mixed)


def test_an_artifact_beside_a_checkpoint_is_read_from_its_files(converted, tmp_path):
    artifact = converted.artifacts["gguf-q8_0"]
    copy = shutil.copy(artifact / "model.gguf", tmp_path / "model.gguf")
    found = compare(artifact, copy)
    assert not found.tensors
    assert not found.files


def test_what_cannot_be_read_is_named(one, tmp_path):
    with pytest.raises(UnavailableSourceError):
        compare(one, tmp_path / "absent")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(BrokenInputError, match="not a manifest"):
        read_subject(tmp_path / "x.json")
