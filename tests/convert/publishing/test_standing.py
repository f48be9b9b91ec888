import json

import pytest

from convert.errors import GateError, MissingFileError, UsageError, VerificationError
from convert.manifest import GateRecord
from convert.publishing.standing import admit
from tests.support.finished import finished_artifact, gate_record


def test_a_sound_artifact_is_admitted(artifact, reporter):
    _, standing = admit(artifact, force=False, reporter=reporter)
    assert standing.objections == ()


def test_a_skipped_gate_is_not(tmp_path, reporter):
    artifact = finished_artifact(tmp_path / "x", gate=GateRecord(status="unverified"))
    with pytest.raises(GateError, match="gate was skipped"):
        admit(artifact, force=False, reporter=reporter)
    _, standing = admit(artifact, force=True, reporter=reporter)
    assert "skipped" in standing.gate
    assert standing.differs is None


def test_a_gate_whose_figures_did_not_pass_is_not(tmp_path, reporter):
    artifact = finished_artifact(tmp_path / "x", gate=gate_record(mean_kld=3.0))
    with pytest.raises(VerificationError, match="gate did not pass"):
        admit(artifact, force=False, reporter=reporter)
    _, standing = admit(artifact, force=True, reporter=reporter)
    assert "mean KL 3" in standing.gate


def test_a_flipped_byte_is_refused(artifact, reporter):
    path = artifact / "model.gguf"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="not what"):
        admit(artifact, force=False, reporter=reporter)
    _, standing = admit(artifact, force=True, reporter=reporter)
    assert "model.gguf differs" in standing.differs
    assert str(artifact) not in standing.differs


def test_an_added_file_is_refused(artifact, reporter):
    (artifact / "more.bin").write_bytes(b"x")
    with pytest.raises(VerificationError):
        admit(artifact, force=False, reporter=reporter)


def test_a_changed_recipe_is_refused(artifact, reporter):
    path = artifact / "manifest.json"
    values = json.loads(path.read_text())
    values["recipe"]["encoding"] = "q8_0"
    path.write_text(json.dumps(values))
    with pytest.raises(VerificationError):
        admit(artifact, force=False, reporter=reporter)


def test_a_folder_of_artifacts_is_not_one(artifact, reporter):
    with pytest.raises(UsageError, match="holds 1 artifacts"):
        admit(artifact.parent, force=False, reporter=reporter)


def test_no_artifact(tmp_path, reporter):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError):
        admit(tmp_path / "empty", force=True, reporter=reporter)
    with pytest.raises(UsageError, match="not a folder"):
        admit(tmp_path / "none", force=True, reporter=reporter)
