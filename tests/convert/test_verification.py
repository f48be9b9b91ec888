"""`convert verify` believes nothing: hashes, recording and gate are checked again."""

from __future__ import annotations

import io
import shutil

import pytest

from convert import verification
from convert.errors import GateError, MissingFileError, SignatureError, VerificationError
from convert.manifest import read_manifest, record_files, write_manifest
from convert.progress import Reporter
from convert.provenance.derived import write_derived
from convert.provenance.signatures import Trust
from convert.provenance.signing import Signer, sign
from convert.verification import verify
from golden.result import GateResult
from tests.support.finished import finished_artifact, gate_record, manifest_of
from tests.support.keys import new_key


@pytest.fixture
def copied(converted, tmp_path):
    """An artifact and its recording, free to be tampered with."""
    shutil.copytree(converted.artifacts["onnx-f32"], tmp_path / "onnx-f32")
    shutil.copy(converted.golden, tmp_path)
    return tmp_path / "onnx-f32"


def check(artifact, **options):
    stream = io.StringIO()
    options = {"golden": None, "gate": True, "threads": 2} | options
    verify(artifact, reporter=Reporter(stream), **options)
    return stream.getvalue()


def test_a_sound_artifact_passes_again(copied):
    assert "mean KL" in check(copied)


def test_hashes_alone_say_what_the_gate_said(copied):
    assert "the manifest says passed" in check(copied, gate=False)


def test_a_flipped_byte_is_found(copied):
    path = copied / "model.onnx.data"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="not what its manifest says"):
        check(copied, gate=False)


def test_a_forged_manifest_does_not_survive_the_gate(copied):
    path = copied / "model.onnx.data"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 65536] = bytes(65536)
    path.write_bytes(data)
    manifest = read_manifest(copied)
    write_manifest(copied, manifest.model_copy(update={"files": record_files(copied)}))
    write_derived(copied)
    with pytest.raises(GateError, match="does not match the original"):
        check(copied)


def test_a_forged_figure_does_not_survive_the_gate(tmp_path, monkeypatch):
    folder = finished_artifact(tmp_path / "gguf-q4_0", gate=gate_record(mean_kld=0.001))
    honest = GateResult.from_json(gate_record().result)
    monkeypatch.setattr(verification, "run_gate", lambda *given, **options: honest)
    with pytest.raises(VerificationError, match="worse than its manifest claims") as caught:
        check(folder, golden=tmp_path / "golden")
    assert caught.value.found == "overall.mean_kld 0.01 here, 0.001 claimed"
    write_manifest(folder, manifest_of(folder))
    write_derived(folder)
    assert "mean KL 0.01" in check(folder, golden=tmp_path / "golden")


def test_a_signature_is_looked_at_where_it_is_asked_for(tmp_path):
    copied = finished_artifact(tmp_path / "gguf-q4_0")
    pair = new_key(tmp_path, "mine")
    assert "not signed" in check(copied, gate=False)
    sign(copied, Signer(pair.private))
    assert "signed, not checked" in check(copied, gate=False)
    assert "good, by" in check(copied, gate=False, trust=Trust(pair.public))
    with pytest.raises(SignatureError, match="is not signed by"):
        check(copied, gate=False, trust=Trust(new_key(tmp_path, "other").public))


def test_another_recording_is_refused_and_a_missing_one_named(copied):
    (golden,) = copied.parent.glob("golden-*")
    golden.write_bytes(golden.read_bytes() + b" ")
    with pytest.raises(VerificationError, match="not the recording"):
        check(copied)
    golden.unlink()
    with pytest.raises(MissingFileError, match="no recording"):
        check(copied)
