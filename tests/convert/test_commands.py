"""What the commands do and print, on real files."""

from __future__ import annotations

import json

import pytest

from convert import benching, pipeline
from convert.__main__ import main
from convert.asking import recipe_of
from convert.benching import Speed
from convert.errors import UsageError
from tests.support.runs import TINY_LLAMA


def test_a_run_needs_to_know_what_to_make(capsys):
    assert main(["run", str(TINY_LLAMA)]) == 2
    assert "nothing to make" in capsys.readouterr().err


def test_a_recording_without_a_gate_is_a_contradiction(capsys):
    assert main(["run", "m", "--to", "onnx", "--golden", "g", "--no-gate"]) == 2
    assert "contradict" in capsys.readouterr().err


def test_the_command_line_goes_before_the_recipe(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda request, _: seen.append(request.recipe) or ())
    text = "name: r\nmodel: a/b\nrevision: v1\nartifacts: [{format: gguf, encoding: q8_0}]"
    (tmp_path / "r.yaml").write_text(text)
    options = ["--recipe", str(tmp_path / "r.yaml")]
    assert main(["run", *options]) == 0
    assert main(["run", "other", *options, "--to", "onnx:f16", "--prompts", "p.txt"]) == 0
    first, second = seen
    assert (first.model, first.revision, first.artifacts[0].folder) == ("a/b", "v1", "gguf-q8_0")
    assert (second.model, second.revision, second.prompts) == ("other", None, "p.txt")
    assert [artifact.folder for artifact in second.artifacts] == ["onnx-f16"]
    assert main(["run", *options, "--tensor-parallel", "4"]) == 0
    assert [artifact.tensor_parallel for artifact in seen[2].artifacts] == [4]


def test_too_little_memory_is_refused_before_anything_is_done(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["run", "m", "--to", "onnx", "--no-gate", "--out", str(out)]
    assert main([*arguments, "--memory", "0"]) == 2
    assert "too few" in capsys.readouterr().err
    assert not out.exists()


def test_a_size_of_memory_is_read(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda request, _: seen.append(request.memory) or ())
    assert main(["run", "m", "--to", "onnx", "--memory", "64MB"]) == 0
    assert main(["run", "m", "--to", "onnx"]) == 0
    assert seen == [64 * 10**6, None]
    assert main(["run", "m", "--to", "onnx", "--memory", "much"]) == 2
    assert "cannot read the size 'much'" in capsys.readouterr().err


def test_the_size_of_shards_goes_to_the_artifacts_that_are_split(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda request, _: seen.append(request.recipe) or ())
    both = ["--to", "gguf:q8_0", "--to", "onnx"]
    assert main(["run", "m", *both, "--split-max-size", "2G"]) == 0
    (asked,) = seen
    assert [artifact.options for artifact in asked.artifacts] == [{"split_max_size": "2G"}, {}]
    for nonsense in ("", "0", "2T", "-1"):
        assert main(["run", "m", *both, "--split-max-size", nonsense]) == 2
        assert "split_max_size is not the size of a shard" in capsys.readouterr().err


def test_the_same_artifact_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="contradict"):
        recipe_of("m", None, ["onnx:f32", "onnx:f32"])


def test_a_run_prints_its_folders_and_nothing_else(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", str(TINY_LLAMA), "--to", "onnx", "--out", str(out), "--no-gate"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "onnx-f32")]


def test_inspect_shows_a_checkpoint(capsys):
    assert main(["inspect", str(TINY_LLAMA)]) == 0
    assert "model.embed_tokens.weight" in capsys.readouterr().out
    assert main(["inspect", str(TINY_LLAMA), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("recording_here")
def test_a_recording_is_compared_with_an_artifact(converted, tmp_path, capsys):
    golden = tmp_path / "golden.safetensors"
    assert main(["golden", "record", str(TINY_LLAMA), "--out", str(golden)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(golden)]
    assert [path.name for path in tmp_path.iterdir()] == [golden.name]
    artifact = str(converted.artifacts["onnx-f32"])
    assert main(["golden", "compare", artifact, "--golden", str(golden), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]


def test_verify_prints_its_verdict(converted, capsys):
    assert main(["verify", str(converted.artifacts["gaudi-bf16"]), "--no-gate"]) == 0
    assert "verified" in capsys.readouterr().out


@pytest.mark.usefixtures("recording_here")
def test_shards_are_gated_verified_and_imported(converted, tmp_path, capsys):
    golden = ["--golden", str(converted.golden)]
    arguments = ["run", str(TINY_LLAMA), "--to", "gguf:q8_0", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--split-max-size", "300K", *golden]) == 0
    artifact = tmp_path / "out" / "gguf-q8_0"
    first, *others = sorted(artifact.glob("model-*-of-00005.gguf"))
    assert len(others) == 4
    assert main(["verify", str(artifact), *golden]) == 0
    assert main(["import", str(first), "--out", str(tmp_path / "imported")]) == 0
    whole = converted.artifacts["gguf-q8_0"] / "model.gguf"
    assert main(["import", str(whole), "--out", str(tmp_path / "expected")]) == 0
    for path in (tmp_path / "expected").iterdir():
        assert (tmp_path / "imported" / path.name).read_bytes() == path.read_bytes()
    others[-1].unlink()
    assert main(["verify", str(artifact), "--no-gate"]) != 0
    assert others[-1].name in capsys.readouterr().err


def test_a_gguf_becomes_a_checkpoint(converted, tmp_path, capsys):
    gguf = converted.artifacts["gguf-q8_0"] / "model.gguf"
    assert main(["import", str(gguf), "--out", str(tmp_path / "imported")]) == 0
    assert (tmp_path / "imported" / "model.safetensors").is_file()


@pytest.fixture
def measured(monkeypatch):
    """Speeds without an artifact; what they were asked for."""
    asked = []

    def sweep(artifact, **options):
        asked.append(options)
        for batch in options["batches"]:
            for length in options["prompt_tokens"]:
                yield Speed(length, options["new_tokens"], 2.0, 4.0, batch, 2.5, 4.5)

    def one(artifact, **options):
        asked.append(options)
        kinds = {"linear": 5.0}
        return Speed(options["prompt_tokens"], 3, 2.0, 4.0, 1, 2.5, 4.5, kinds, kinds)

    monkeypatch.setattr(benching, "measure_sweep", sweep)
    monkeypatch.setattr(benching, "measure_speed", one)
    return asked


def test_bench_prints_one_speed_or_a_table(measured, capsys):
    assert main(["bench", "a", "--threads", "1"]) == 0
    assert "first token: 2.0 ms for a prompt of 128 tokens" in capsys.readouterr().out
    assert main(["bench", "a", "--prompt-tokens", "9,5", "--batch", "1,4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["batch"], one["prompt_tokens"]) for one in found] == [
        (1, 5),
        (1, 9),
        (4, 5),
        (4, 9),
    ]
    assert measured[0] == {
        "prompt_tokens": [128], "batches": [1], "new_tokens": 32, "threads": 1
    }  # fmt: skip


def test_bench_profiles_one_length_and_no_batch(measured, capsys):
    assert main(["bench", "a", "--profile", "--prompt-tokens", "7"]) == 0
    assert "linear" in capsys.readouterr().out
    assert measured[0]["prompt_tokens"] == 7
    for options in (["--batch", "2"], ["--prompt-tokens", "3,4"]):
        assert main(["bench", "a", "--profile", *options]) == 2
        assert "--profile takes one length" in capsys.readouterr().err
    assert len(measured) == 1


def test_bench_draws_what_it_measured(measured, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "speed.svg"
    assert main(["bench", "some/onnx-f32", "--batch", "1,2", "--plot", str(path)]) == 0
    assert "onnx-f32" in path.read_text("utf-8")
    assert main(["bench", "a", "--plot", str(tmp_path / "speed.pdf")]) == 2
    assert "cannot draw speed.pdf" in capsys.readouterr().err
    assert len(measured) == 1
