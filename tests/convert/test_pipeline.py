"""The whole line: what it makes, that it repeats itself, and that nothing wrong gets through."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil

import numpy as np
import pytest

from convert import pipeline, room, stream
from convert.architectures.decoder import Decoder
from convert.errors import (
    DiskFullError,
    GateError,
    GoldenMismatchError,
    InterruptedRunError,
    NonFiniteWeightError,
    OutputExistsError,
    UnsupportedEncodingError,
    UnsupportedTokenizerError,
    UsageError,
)
from convert.manifest import check_files, read_manifest
from passes.encodings.compiled import CompiledEncoding
from targets.gguf.target import GgufTarget
from tests.support.runs import TINY_LLAMA, convert_tiny


def test_all_artifacts_pass_the_gate_and_carry_a_manifest(converted):
    assert set(converted.artifacts) == {"gguf-q8_0", "openvino-int8", "gaudi-bf16", "onnx-f32"}
    for folder in converted.artifacts.values():
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        assert manifest.gate.status == "passed"
        assert manifest.gate.result["tokenizer"]["differing"] == 0
        assert manifest.gate.result["sample"]["text"].strip()
        assert len(manifest.tensors) == len(read_manifest(converted.artifacts["onnx-f32"]).tensors)


def test_nothing_else_is_left_in_the_output(converted):
    names = {path.name for path in converted.out.iterdir()}
    pages = {f"{name}.report.{kind}" for name in converted.artifacts for kind in ("html", "json")}
    assert names == {*converted.artifacts, converted.golden.name, *pages}


@pytest.mark.parametrize(
    "targets",
    [
        ("gguf:q8_0", "openvino:int8"),
        pytest.param(("gaudi:bf16", "onnx:f32"), marks=pytest.mark.slow),
    ],
)
def test_a_second_run_gives_identical_bytes_in_every_file(
    converted, tmp_path, monkeypatch, targets
):
    """The second records in child processes, the first did so in this one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # nothing from the first
    out = tmp_path / "out"
    again = convert_tiny(out, *targets)
    (golden,) = out.glob("golden-*.safetensors")
    assert golden.read_bytes() == converted.golden.read_bytes()
    for folder in again:
        first = converted.artifacts[folder.name]
        files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        assert files == sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
        for name in files:
            assert (folder / name).read_bytes() == (first / name).read_bytes(), name


def test_no_path_of_this_machine_is_in_a_manifest(converted):
    for folder in converted.artifacts.values():
        for name in ("manifest.json", "provenance.intoto.json", "bom.cdx.json"):
            text = (folder / name).read_text()
            assert str(converted.out) not in text
            assert str(TINY_LLAMA) not in text


def swap_query_and_key_rows(monkeypatch):
    """GGUF without its row order: halves stay halves where pairs are expected."""
    lay_out = GgufTarget.lay_out

    def unordered(self, request):
        layout = lay_out(self, request)
        jobs = tuple(dataclasses.replace(job, row_order=None) for job in layout.jobs)
        return dataclasses.replace(layout, jobs=jobs)

    monkeypatch.setattr(GgufTarget, "lay_out", unordered)


def change_the_rope_base(monkeypatch):
    """A graph whose rotary frequencies are those of another base."""
    build = Decoder.build

    def build_wrongly(self, config, weights):
        rope = dataclasses.replace(config.rope, theta=config.rope.theta / 20)
        return build(self, dataclasses.replace(config, rope=rope), weights)

    monkeypatch.setattr(Decoder, "build", build_wrongly)


def shift_the_scales_by_one(monkeypatch):
    """Each group decoded with the scale of the group before."""
    encode_into = CompiledEncoding.encode_into

    def encode_shifted(self, rows, planes):
        encode_into(self, rows, planes)
        for index, kind in enumerate(self.planes(rows.shape[1])):
            if kind.name == "scales":
                planes[index][:] = np.roll(planes[index].view(np.float16), 1).view(np.uint8)

    monkeypatch.setattr(CompiledEncoding, "encode_into", encode_shifted)


@pytest.mark.usefixtures("recording_here")
@pytest.mark.parametrize(
    ("break_it", "to"),
    [
        (swap_query_and_key_rows, "gguf:q8_0"),
        (change_the_rope_base, "openvino:int8"),
        (change_the_rope_base, "onnx:int4_g32"),
        (shift_the_scales_by_one, "openvino:int8"),
        (shift_the_scales_by_one, "onnx:int4_g32"),
    ],
)
def test_a_broken_conversion_does_not_get_through(converted, tmp_path, monkeypatch, break_it, to):
    break_it(monkeypatch)
    with pytest.raises(GateError, match="does not match the original") as caught:
        convert_tiny(tmp_path / "out", to, golden=converted.golden)
    assert caught.value.exit_code == 3
    assert "differ most" in str(caught.value)
    # What the text showed of the original stays: another run can use it.
    assert {path.name[:8] for path in (tmp_path / "out").iterdir()} <= {"moments-"}


@pytest.mark.usefixtures("recording_here")
def test_a_failed_artifact_can_be_kept_for_study(converted, tmp_path, monkeypatch):
    swap_query_and_key_rows(monkeypatch)
    with pytest.raises(GateError, match=r"q_proj|k_proj"):
        convert_tiny(tmp_path, "gguf:q8_0", golden=converted.golden, keep_failed=True, report=True)
    names = {path.name.removeprefix("gguf-q8_0.") for path in tmp_path.iterdir()}
    assert names == {"failed", "report.html", "report.json"}
    assert "<strong>Refused.</strong>" in (tmp_path / "gguf-q8_0.report.html").read_text()


def test_without_the_gate_the_manifest_says_unverified(tmp_path):
    (folder,) = convert_tiny(tmp_path, "onnx:f32", gate=False)
    assert read_manifest(folder).gate.status == "unverified"
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-f32"]


def test_an_existing_artifact_is_refused_before_anything_is_done(tmp_path):
    (tmp_path / "onnx-f32").mkdir()
    with pytest.raises(OutputExistsError):
        convert_tiny(tmp_path, "gaudi:bf16", "onnx:f32", gate=False)
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-f32"]


@pytest.fixture
def untokenized(tmp_path):
    folder = tmp_path / "untokenized"
    shutil.copytree(TINY_LLAMA, folder, ignore=shutil.ignore_patterns("*token*", "chat*"))
    return folder


@pytest.mark.usefixtures("recording_here")
def test_without_a_tokenizer_gguf_refuses_and_others_are_told_what_to_do(untokenized, tmp_path):
    for target in ("gguf:q8_0", "onnx:f32"):
        with pytest.raises(UnsupportedTokenizerError):
            convert_tiny(tmp_path / "out", target, model=untokenized, gate=False)
    (folder,) = convert_tiny(tmp_path / "out", "onnx:f32", model=untokenized, tokenizer=False)
    gate = read_manifest(folder).gate
    assert gate.status == "passed"
    assert gate.result["tokenizer"]["checked"] == 0


def test_a_recording_of_another_model_is_refused(converted, untokenized, tmp_path):
    with pytest.raises(GoldenMismatchError):
        convert_tiny(
            tmp_path / "out",
            "onnx:f32",
            model=untokenized,
            tokenizer=False,
            golden=converted.golden,
        )


def test_a_weight_that_is_not_finite_stops_the_run(tmp_path):
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    shutil.copytree(TINY_LLAMA, model)
    tensors = load_file(model / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteWeightError, match=r"model\.norm\.weight"):
        convert_tiny(tmp_path / "out", "onnx:f32", model=model, gate=False)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFullError),
        (InterruptedRunError("interrupted"), InterruptedRunError),
    ],
)
def test_an_interruption_half_way_leaves_nothing(tmp_path, monkeypatch, error, named):
    def fail(*_):
        raise error

    monkeypatch.setattr(stream, "write_all", fail)
    with pytest.raises(named):
        convert_tiny(tmp_path, "onnx:f32", "gaudi:bf16", gate=False)
    assert not list(tmp_path.iterdir())


def test_too_small_a_disk_is_refused_before_writing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFullError, match="do not fit") as caught:
        convert_tiny(tmp_path, "onnx:f32", gate=False)
    assert caught.value.exit_code == 5


def test_fallbacks_are_listed_and_strict_refuses_them(tmp_path):
    with pytest.raises(UnsupportedEncodingError, match="do not fit"):
        convert_tiny(tmp_path, "onnx:int4_g96", gate=False, strict=True)
    (folder,) = convert_tiny(tmp_path, "onnx:int4_g96", gate=False)
    document = json.loads((folder / "manifest.json").read_text())
    fallen = [tensor for tensor in document["tensors"] if tensor["fallback"]]
    assert fallen
    assert all("int4_g96 does not fit" in tensor["fallback"] for tensor in fallen)


def test_a_run_needs_a_model(tmp_path):
    request = pipeline.RunRequest(
        recipe=pipeline.Recipe(name="x", artifacts=({"format": "onnx"},)), out=tmp_path, threads=1
    )
    with pytest.raises(UsageError, match="no model"):
        pipeline.run(request, pipeline.Reporter())
