"""How scales are chosen in whole runs: by the shipped text, by a user's, or as they are."""

from __future__ import annotations

import io
import json
import os
import shutil
from hashlib import sha256

import pytest

from convert.architectures import architecture_of
from convert.calibration_text import SHIPPED, CalibrationText
from convert.checkpoint import open_checkpoint
from convert.errors import ChangedInputError, UnsupportedError, UnsupportedTokenizerError
from convert.graph import notes
from convert.inputs import Inputs
from convert.manifest import COMPANIONS, read_manifest
from convert.preparation import open_source, prepare
from convert.recipe import Artifact
from convert.weighting import FILE_TOKENS, SAMPLE_TOKENS, choose_weighting, moments_name
from passes.weighting import AWAITING
from tests.support.runs import ROOT, TINY_LLAMA, convert_tiny, recipe

TO = ("gguf:q4_0", "openvino:int4_g32")


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(TINY_LLAMA, folder)
    return folder


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """A run of two artifacts, and what it said."""
    said = io.StringIO()
    out = tmp_path_factory.mktemp("weighted")
    return convert_tiny(out, *TO, gate=False, said=said), said.getvalue()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def chosen(folder, out, calibrate="sample", checkpoint=None):
    """What a run of this checkpoint would do."""
    checkpoint = checkpoint or open_checkpoint(str(folder))
    config = open_source(checkpoint).config
    asked = recipe(*TO, model=folder, calibrate=str(calibrate))
    return choose_weighting(asked, checkpoint, config, Inputs(checkpoint), out)


def test_a_run_weights_by_the_shipped_text_and_says_so(weighted):
    folders, said = weighted
    records = [read_manifest(folder).weighting for folder in folders]
    assert records[0] == records[1]
    assert records[0].text_sha256 == sha256(SHIPPED.read_bytes()).hexdigest()
    assert SAMPLE_TOKENS // 2 < records[0].tokens <= SAMPLE_TOKENS
    assert said.count(f"weighted by {records[0].tokens} tokens") == 3
    out = folders[0].parent
    assert [path.name for path in out.glob("moments-*")] == [
        path.name for path in out.iterdir() if path not in folders
    ]


def test_no_text_leaves_scales_as_they_are(tmp_path, weighted):
    folders, said = weighted[0], io.StringIO()
    plain = convert_tiny(tmp_path, *TO, gate=False, calibrate="none", said=said)
    assert "weighted" not in said.getvalue()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in plain}
    for one, other in zip(folders, plain, strict=True):
        assert read_manifest(other).weighting is None
        ours, theirs = contents(one), contents(other)
        assert ours.keys() == theirs.keys()
        sizes = {name: len(data) for name, data in ours.items() if name not in COMPANIONS}
        assert sizes == {name: len(theirs[name]) for name in sizes}
        assert ours != theirs


def test_other_threads_and_less_memory_give_the_same_bytes(tmp_path, weighted):
    again = convert_tiny(tmp_path, *TO, gate=False, threads=3, memory=3 << 20)
    for one, other in zip(weighted[0], again, strict=True):
        assert contents(one) == contents(other)


def test_kept_moments_serve_another_encoding(tmp_path, weighted):
    out = tmp_path / "out"
    shutil.copytree(weighted[0][0].parent, out)
    said = io.StringIO()
    (made,) = convert_tiny(out, "onnx:int4_g32", gate=False, said=said)
    assert "is there already" in said.getvalue()
    assert read_manifest(made).weighting == read_manifest(weighted[0][0]).weighting


def test_what_has_no_scales_to_weight_costs_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr("convert.weighting.choose_weighting", None)
    (made,) = convert_tiny(tmp_path, "onnx:int8", gate=False)
    assert read_manifest(made).weighting is None


def test_without_a_tokenizer_scales_stay_plain_and_a_note_says_why(tmp_path, model):
    (model / "tokenizer.json").unlink()
    (made,) = convert_tiny(tmp_path, "onnx:int4", model=model, gate=False, tokenizer=False)
    manifest = read_manifest(made)
    assert manifest.weighting is None
    assert any("without moments" in note and "tokenizer" in note for note in manifest.notes)
    assert not list(tmp_path.glob("moments-*"))


def test_a_text_that_was_asked_for_must_be_readable(tmp_path, model):
    (model / "tokenizer.json").unlink()
    text = tmp_path / "text.txt"
    text.write_text("once upon a time")
    with pytest.raises(UnsupportedTokenizerError):
        chosen(model, tmp_path, text)


def test_a_users_text_may_be_longer(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("once upon a time there was a king. " * 200)
    assert chosen(TINY_LLAMA, tmp_path, text).one_pass.tokens in range(
        FILE_TOKENS - 16, FILE_TOKENS + 1
    )


def test_another_models_tokenizer_is_not_used(tmp_path, model):
    config = json.loads((model / "config.json").read_text())
    checkpoint = open_checkpoint(str(model))
    asked = recipe(*TO, model=model)
    small = architecture_of(config).parse(config | {"vocab_size": 40})
    found = choose_weighting(asked, checkpoint, small, Inputs(checkpoint), tmp_path)
    assert found.one_pass is None
    assert "none beyond 39" in found.weighting.reason


def test_a_graph_that_calibration_cannot_run_stays_plain(tmp_path, monkeypatch):
    def refuse(*_):
        raise UnsupportedError("calibration cannot run the operator Einsum")

    monkeypatch.setattr("convert.weighting.OnePass", refuse)
    found = chosen(TINY_LLAMA, tmp_path)
    assert found.one_pass is None
    assert "Einsum" in found.weighting.reason
    text = tmp_path / "text.txt"
    text.write_text("once upon a time")
    with pytest.raises(UnsupportedError, match="Einsum"):
        chosen(TINY_LLAMA, tmp_path, text)


def test_moments_are_named_after_what_decides_them(model):
    inputs = Inputs(open_checkpoint(str(model)))
    text = CalibrationText("0", ((1, 2),))
    names = {
        moments_name("a", inputs, text),
        moments_name("b", inputs, text),
        moments_name("a", inputs, CalibrationText("0", ((1, 3),))),
    }
    (model / "model.safetensors").touch()
    names.add(moments_name("a", Inputs(open_checkpoint(str(model))), text))
    assert len(names) == 4
    assert moments_name("a", inputs, CalibrationText("1", ((1, 2),))) in names


def test_moments_of_other_contents_are_refused(tmp_path, model):
    """Of the same size and time: only the digest tells."""
    convert_tiny(tmp_path / "out", "gguf:q4_0", model=model, gate=False)
    weights = model / "model.safetensors"
    before, data = weights.stat(), bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChangedInputError, match="moments-"):
        convert_tiny(tmp_path / "out", "onnx:int4_g32", model=model, gate=False)
    assert convert_tiny(tmp_path / "out", "onnx:int4_g32", model=model, gate=False)


@pytest.mark.parametrize(
    ("name", "ranks"), [("tiny-yuan2", None), ("tiny-yuan2", 2), ("tiny-bloom", None)]
)
def test_every_layer_of_other_graphs_is_weighted_too(tmp_path, name, ranks):
    """Fused convolutions and the parts that ranks hold are views of what the text meets."""
    folder = ROOT / "golden" / "models" / name
    checkpoint = open_checkpoint(str(folder))
    found = chosen(folder, tmp_path, checkpoint=checkpoint)
    artifact = Artifact(format="openvino", encoding="int4_g32", tensor_parallel=ranks)
    made = prepare(
        checkpoint,
        open_source(checkpoint),
        artifact,
        tokenizer=False,
        strict=False,
        weighting=lambda: found.weighting,
    )
    assert int(made.model.metadata_props[AWAITING]) > 3
    assert not [note for note in notes(made.model) if "moments" in note]
    assert not [note for note in made.layout.notes if "moments" in note]
    awaiting = [job for job in made.layout.jobs if getattr(job.encoding, "awaits_moments", False)]
    assert awaiting
    assert all(found.one_pass.knows(job.weight) for job in awaiting)
