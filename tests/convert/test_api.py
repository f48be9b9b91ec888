"""The Python API: results instead of lines, the catalogue's errors, nothing printed."""

from __future__ import annotations

import errno
import shutil

import pytest

import convert
from convert import benching, pipeline
from convert.benching import Speed
from convert.errors import (
    DiskFullError,
    DoesNotFitError,
    OutOfMemoryError,
    RecipeError,
    UsageError,
    VerificationError,
)
from convert.recipe import Recipe
from tests.support.runs import PROMPTS, TINY_LLAMA


@pytest.mark.usefixtures("recording_here")
def test_a_run_returns_what_it_made_and_prints_nothing(converted, tmp_path, capfd):
    out = tmp_path / "out"
    result = convert.run(
        TINY_LLAMA, to="onnx:int8", out=out, prompts=PROMPTS, golden=converted.golden, threads=2
    )
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert result.folders == (out / "onnx-int8",)
    made = result["onnx-int8"]
    assert made.gate.passed
    assert made.gate.overall.mean_kld <= made.gate.thresholds.mean_kld
    paths = [made.folder / file.path for file in made.manifest.files]
    assert made.nbytes == sum(path.stat().st_size for path in paths)
    assert made.folder / "model.onnx.data" in paths
    with pytest.raises(KeyError):
        result["onnx-int4"]


def test_a_reporter_is_told_of_stages_and_verdicts(tmp_path):
    class Told(convert.Reporter):
        def __init__(self):
            super().__init__()
            self.lines, self.outcomes = [], []

        def say(self, text):
            self.lines.append(text)

        def judged(self, outcome):
            self.outcomes.append(outcome)

    told = Told()
    made = convert.run(
        TINY_LLAMA, to=["onnx"], out=tmp_path, gate=False, tokenizer=False, reporter=told
    )
    assert made["onnx-f32"].gate is None
    assert any(line.startswith("convert: ") for line in told.lines)
    assert [(one.artifact, one.passed) for one in told.outcomes] == [("onnx-f32", False)]
    assert told.outcomes[0].skipped


def test_a_recipe_may_be_a_name_a_file_its_keys_or_itself(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(pipeline, "run", lambda request, _: seen.append(request.recipe) or ())
    keys = {"name": "r", "model": "m", "artifacts": [{"format": "onnx", "encoding": "f16"}]}
    file = tmp_path / "r.yaml"
    file.write_text("name: r\nmodel: m\nartifacts: [{format: onnx, encoding: f16}]\n")
    for recipe in (keys, Recipe.model_validate(keys), file, str(file)):
        assert convert.run(recipe=recipe, strict=True).artifacts == ()
    assert [each.artifacts[0].folder for each in seen] == ["onnx-f16"] * 4
    convert.run("other", recipe=keys, max_kld=0.1, calibration_tokens=64, lora=["a"])
    assert (seen[4].model, seen[4].lora, seen[4].calibration_tokens) == ("other", ("a",), 64)
    with pytest.raises(RecipeError, match="does not follow the schema"):
        convert.run(recipe={**keys, "nonsense": 1})
    with pytest.raises(UsageError, match="nothing to make"):
        convert.run("m")
    with pytest.raises(UsageError, match="contradict"):
        convert.run("m", to="onnx", calibration_tokens=1)


def test_a_plan_says_whether_it_fits():
    planned = convert.plan(TINY_LLAMA, to="gguf:q4_0")
    assert planned.artifacts[0].nbytes > 0
    planned.require_fit()
    large = convert.plan(TINY_LLAMA, to=["gguf:f32", "onnx:f32"])
    assert large.artifacts[0].nbytes > planned.artifacts[0].nbytes
    assert large.parameters == planned.parameters
    assert issubclass(DoesNotFitError, convert.errors.ResourceError)


def test_verify_returns_the_manifest_and_raises_what_is_wrong(converted, tmp_path, capfd):
    folder = tmp_path / "gguf-q8_0"
    shutil.copytree(converted.artifacts["gguf-q8_0"], folder)
    found = convert.verify(folder, gate=False)
    assert (found.manifest.artifact, found.gate) == ("gguf-q8_0", None)
    (folder / "more").write_bytes(b"")
    with pytest.raises(VerificationError, match="not what its manifest says"):
        convert.verify(folder, gate=False)
    assert capfd.readouterr().err == ""


def test_an_artifact_is_inspected_and_continues_texts(converted, capfd):
    artifact = converted.artifacts["onnx-f32"]
    assert convert.inspect(artifact).kind == "onnx"
    both = convert.generate(artifact, ["The capital", "Once upon"], new_tokens=4, batch=2)
    assert [len(one.new_ids) <= 4 for one in both] == [True, True]
    (first,) = convert.generate(str(artifact), "The capital", new_tokens=4)
    assert (first.prompt, first.new_ids, first.text) == (
        both[0].prompt,
        both[0].new_ids,
        both[0].text,
    )
    assert convert.generate(artifact, []) == ()
    with pytest.raises(UsageError, match="chat template"):
        convert.generate(artifact, "a", chat=True, prompt_tokens=3)
    assert capfd.readouterr().out == ""


def test_bench_takes_one_figure_or_several(monkeypatch):
    asked = []

    def sweep(artifact, **options):
        asked.append(options)
        yield Speed(1, 1, 1.0, 1.0)

    monkeypatch.setattr(benching, "measure_sweep", sweep)
    monkeypatch.setattr(benching, "measure_speed", lambda *_, **given: asked.append(given) or 7)
    assert len(convert.bench("a", prompt_tokens=[3, 4], batch=2, threads=1)) == 1
    assert asked[0] == {"prompt_tokens": [3, 4], "batches": [2], "new_tokens": 32, "threads": 1}
    assert convert.bench("a", profile=True) == (7,)
    with pytest.raises(UsageError, match="one length"):
        convert.bench("a", profile=True, batch=2)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), OutOfMemoryError),
        (OSError(errno.ENOSPC, "full"), DiskFullError),
        (PermissionError(errno.EACCES, "no", "/x"), UsageError),
        (ZeroDivisionError("a fault"), ZeroDivisionError),
    ],
)
def test_errors_of_the_system_become_those_of_the_catalogue(monkeypatch, raised, expected):
    def fail(request, reporter):
        raise raised

    monkeypatch.setattr(pipeline, "run", fail)
    with pytest.raises(expected):
        convert.run("m", to="onnx")
