"""`convert run --frozen` makes an artifact again, and accepts nothing but the same bytes."""

from __future__ import annotations

import json
import shutil

import pytest

from convert.__main__ import main
from convert.errors import BrokenInputError, NotReproducedError, VerificationError
from convert.hashing import hash_file
from convert.manifest import MANIFEST_NAME
from convert.progress import Silent
from convert.provenance import repeating
from convert.provenance.frozen_inputs import Given
from convert.provenance.repeating import Repetition, repeat
from tests.support.finished import gate_record, manifest_of
from tests.support.runs import PROMPTS, TINY_LLAMA, convert_tiny

NAME = "onnx-int8"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    (folder,) = convert_tiny(tmp_path_factory.mktemp("made"), "onnx:int8", gate=False)
    return folder


@pytest.fixture
def manifest(made, tmp_path):
    """A copy of the manifest alone, free to be changed."""
    return shutil.copy(made / MANIFEST_NAME, tmp_path / "frozen.json")


def asked(manifest, out, **changes):
    return Repetition(manifest, out, 1, Given(str(TINY_LLAMA), prompts=PROMPTS), **changes)


@pytest.fixture
def pretend(made, monkeypatch):
    """Runs that copy what was made, and change it."""

    def prepare(change=lambda folder: None):
        def run(request, reporter):
            folder = request.out / NAME
            shutil.copytree(made, folder)
            change(folder)
            return (folder,)

        monkeypatch.setattr(repeating, "run", run)

    return prepare


def rewrite(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def flip(folder):
    path = folder / "model.onnx.data"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    record = hash_file(folder, path).model_dump()

    def record_it(document):
        files = document["files"]
        document["files"] = [record if file["path"] == path.name else file for file in files]

    rewrite(folder / MANIFEST_NAME, record_it)


def test_a_manifest_alone_makes_the_same_artifact(made, manifest, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["run", str(TINY_LLAMA), "--frozen", str(manifest), "--out", str(out)]
    assert main([*arguments, "--prompts", str(PROMPTS)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{out / NAME}\n"
    assert "the same, byte for byte" in said.err
    names = {path.name for path in made.iterdir()}
    assert {path.name for path in (out / NAME).iterdir()} == names
    for name in names:
        assert (out / NAME / name).read_bytes() == (made / name).read_bytes()
    assert NAME in {path.name for path in out.iterdir()}
    assert not list(out.glob(".*"))


def test_what_is_there_already_is_left_alone(made, pretend, tmp_path):
    out = tmp_path / "out"
    pretend()
    there = shutil.copytree(made, out / NAME)
    (there / "mine").write_text("")
    assert repeat(asked(there, out), Silent()) == there
    assert (there / "mine").exists()
    assert {path.name for path in out.iterdir()} == {NAME}


def test_a_byte_that_differs_is_refused_and_named(manifest, pretend, tmp_path):
    out = tmp_path / "out"
    pretend(flip)
    with pytest.raises(NotReproducedError) as caught:
        repeat(asked(manifest, out), Silent())
    assert (caught.value.exit_code, caught.value.found) == (3, "model.onnx.data differs")
    assert not list(out.iterdir())
    with pytest.raises(NotReproducedError):
        repeat(asked(manifest, out, keep_failed=True), Silent())
    assert {path.name for path in out.iterdir()} == {f"{NAME}.differs"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["files"].pop(), "was made, too"),
        (lambda d: d["files"].append({"path": "x", "size": 1, "sha256": ""}), "x was not made"),
        (lambda d: d["files"][-1].update(size=1), "(1 bytes, "),
        (lambda d: d["tensors"][0].update(encoding="int4"), "encoding int4, int8 here"),
        (lambda d: d["notes"].append("more"), "notes"),
    ],
)
def test_a_changed_manifest_does_not_come_out_again(manifest, pretend, tmp_path, change, said):
    pretend()
    rewrite(manifest, change)
    with pytest.raises(NotReproducedError) as caught:
        repeat(asked(manifest, tmp_path / "out"), Silent())
    assert said in caught.value.found


@pytest.mark.parametrize("name", ["../out", "/tmp", "", ".hidden", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(manifest, pretend, tmp_path, name):
    pretend(lambda folder: pytest.fail("ran"))
    rewrite(manifest, lambda document: document.update(artifact=name))
    with pytest.raises(BrokenInputError, match="names no folder"):
        repeat(asked(manifest, tmp_path / "out"), Silent())
    assert not (tmp_path / "out").exists()


def test_other_versions_are_said(manifest, pretend, tmp_path, capsys):
    pretend()
    rewrite(manifest, lambda document: document["versions"].update(torch="1.0"))
    out = tmp_path / "out"
    arguments = ["run", str(TINY_LLAMA), "--frozen", str(manifest), "--out", str(out)]
    assert main([*arguments, "--prompts", str(PROMPTS)]) == 0
    assert "version of torch: 1.0, now" in capsys.readouterr().err


def test_a_figure_that_is_better_than_what_comes_out_is_refused(manifest, pretend, tmp_path):
    def gate(figures):
        return lambda document: document.update(gate=gate_record(**figures).model_dump())

    pretend(lambda folder: rewrite(folder / MANIFEST_NAME, gate({})))
    rewrite(manifest, gate({"mean_kld": 0.001}))
    with pytest.raises(VerificationError, match="worse than its manifest claims"):
        repeat(asked(manifest, tmp_path / "out"), Silent())


def test_the_recording_is_taken_where_it_is_the_same(tmp_path):
    recording = tmp_path / "golden-1.safetensors"
    recording.write_bytes(b"x")
    gate = gate_record()
    assert repeating._recording(gate, tmp_path) is None
    same = gate.model_copy(update={"golden_sha256": hash_file(tmp_path, recording).sha256})
    assert repeating._recording(same, tmp_path / "absent", tmp_path) == recording
    assert repeating._recording(manifest_of(tmp_path).gate, tmp_path) is None


@pytest.mark.parametrize(
    "option", [["--to", "gguf"], ["--no-gate"], ["--strict"], ["--recipe", "x"], ["--set", "a=1"]]
)
def test_what_the_manifest_settles_cannot_be_asked_for(manifest, option, capsys):
    assert main(["run", "m", "--frozen", str(manifest), *option]) == 2
    assert "takes everything from the manifest" in capsys.readouterr().err


def test_another_checkpoint_is_refused_before_anything_runs(manifest, pretend, tmp_path):
    pretend(lambda folder: pytest.fail("ran"))
    model = shutil.copytree(TINY_LLAMA, tmp_path / "model")
    (model / "generation_config.json").write_text("{}")
    arguments = ["run", str(model), "--frozen", str(manifest), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--prompts", str(PROMPTS)]) == 6
    assert not list((tmp_path / "out").iterdir())
