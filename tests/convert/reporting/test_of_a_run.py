"""What a real run leaves for the pages of its artifacts."""

from __future__ import annotations

import pytest

from convert.manifest import read_manifest
from convert.progress import Silent
from convert.reporting.data import data_path, page_path, read_data
from convert.verification import verify


@pytest.fixture
def kept(converted):
    return {name: read_data(data_path(folder)) for name, folder in converted.artifacts.items()}


def test_each_artifact_has_a_page_beside_it(converted, kept):
    for name, folder in converted.artifacts.items():
        assert kept[name].belongs_to(read_manifest(folder))
        assert "Word by word" in page_path(folder).read_text()


def test_every_position_was_seen(converted, kept):
    for name, data in kept.items():
        overall = read_manifest(converted.artifacts[name]).gate.result["overall"]
        seen = [value for one in data.details.prompts for value in one.kld]
        assert len(seen) == overall["positions"]
        mean = sum(seen) / len(seen)
        assert mean == pytest.approx(overall["mean_kld"], rel=0.01, abs=1e-8)
        agree = [same for one in data.details.prompts for same in one.agrees]
        assert sum(agree) / len(agree) == pytest.approx(overall["top1"], abs=1e-5)


def test_the_original_says_what_its_exact_copy_says(converted, kept):
    sample = read_manifest(converted.artifacts["onnx-f32"]).gate.result["sample"]
    assert kept["onnx-f32"].details.continuation == sample["text"]


def test_every_tensor_has_its_error_and_its_bytes(converted, kept):
    for name, data in kept.items():
        manifest = read_manifest(converted.artifacts[name])
        assert set(data.tensors) == {tensor.name for tensor in manifest.tensors}
        worst = max(data.tensors, key=lambda one: data.tensors[one].error)
        assert data.tensors[worst].error == pytest.approx(manifest.gate.weight_error, rel=1e-3)
        assert all(one.source_bytes > 0 for one in data.tensors.values())


def test_times_were_kept(kept):
    for data in kept.values():
        titles = [title for title, _ in data.stages]
        assert "convert" in titles
        assert "record the original" in titles
        (transfer,) = [one for one in data.transfers if one.title == "convert"]
        assert transfer.points[-1][1] == transfer.total
        assert data.details.decode_tokens > 40
        assert 0 < data.roofline.bound_ms < data.roofline.expected_ms


def test_the_page_is_no_part_of_the_artifact(converted):
    verify(converted.artifacts["gguf-q8_0"], golden=None, gate=False, threads=1, reporter=Silent())
