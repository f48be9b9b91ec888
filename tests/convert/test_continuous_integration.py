"""`--junit`, annotations and summaries of `convert run` and `convert verify`."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree as ET

import pytest

from convert import pipeline
from convert.__main__ import main
from convert.continuous_integration import reporting
from convert.errors import GateError, UsageError
from convert.outcomes import Outcome
from golden.result import Check
from tests.convert.test_workflow_commands import commands
from tests.support.runs import TINY_LLAMA

BAD = Outcome("gguf-x", (Check("mean KL", False, "mean KL 1%\nis above", 1.0, 0.5),))


@pytest.fixture
def workflow(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    return tmp_path / "summary.md"


def fail(outcomes, error, junit=None):
    with pytest.raises(type(error)), reporting("convert run", junit) as reporter:
        for outcome in outcomes:
            reporter.judged(outcome)
        raise error


def test_an_artifact_that_fails_is_annotated_once(workflow, capsys, tmp_path):
    fail([BAD], GateError("gguf-x does not match"), tmp_path / "deep" / "j.xml")
    (line,) = commands(capsys.readouterr().err)
    assert line == "::error title=gguf-x does not pass::mean KL 1%25%0Ais above"
    root = ET.parse(tmp_path / "deep" / "j.xml").getroot()
    assert (root.get("failures"), root.get("errors")) == ("1", "0")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["j.xml"]
    summary = workflow.read_text()
    assert summary.startswith("before\n### convert run")
    assert "**failed**" in summary


def test_what_else_goes_wrong_is_an_error_besides(workflow, capsys, tmp_path):
    fail([BAD], UsageError("no such file", remedy="look\nagain"), tmp_path / "j.xml")
    lines = commands(capsys.readouterr().err)
    assert [line.split("::")[1] for line in lines] == [
        "error title=convert run",
        "error title=gguf-x does not pass",
    ]
    assert ET.parse(tmp_path / "j.xml").getroot().get("errors") == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("a fault")])
def test_an_interruption_and_a_fault_are_no_success(error, tmp_path):
    fail([], error, tmp_path / "j.xml")
    assert ET.parse(tmp_path / "j.xml").getroot().get("errors") == "1"


def test_at_most_ten_annotations_and_a_warning_for_what_was_not_checked(workflow, capsys):
    with reporting("c", None) as reporter:
        reporter.judged(Outcome("a", skipped="the gate was not run"))
    assert commands(capsys.readouterr().err) == [
        "::warning title=a is unverified::the gate was not run"
    ]
    fail([BAD] * 20, GateError("many"))
    assert len(commands(capsys.readouterr().err)) == 10
    assert workflow.read_text().count("**failed**") == 20


def test_nothing_is_written_unless_asked_for(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "s"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    fail([BAD], GateError("x"))
    assert not commands(capsys.readouterr().err)
    assert not (tmp_path / "s").exists()


def test_a_file_that_cannot_be_written_is_refused_before_the_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pipeline, "run", lambda *_: pytest.fail("it ran"))
    (tmp_path / "file").write_text("")
    arguments = ["run", "m", "--to", "onnx", "--junit", str(tmp_path / "file" / "j.xml")]
    assert main(arguments) == 2
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.usefixtures("workflow")
def test_verify_tells_of_files_and_gate(converted, tmp_path, capsys):
    folder = tmp_path / "onnx-f32"
    shutil.copytree(converted.artifacts["onnx-f32"], folder)
    arguments = ["verify", str(folder), "--no-gate", "--junit", str(tmp_path / "j.xml")]
    assert main(arguments) == 0
    names = [case.get("name") for case in ET.parse(tmp_path / "j.xml").iter("testcase")]
    assert names == ["files", "gate"]
    (folder / "::error::x").write_text("")
    capsys.readouterr()
    assert main(arguments) == 3
    assert ET.parse(tmp_path / "j.xml").getroot().get("errors") == "1"
    said = commands(capsys.readouterr().err)
    assert [line.split("::")[1] for line in said] == ["error title=onnx-f32 does not pass"]


@pytest.mark.usefixtures("recording_here")
def test_a_run_tells_of_each_check_of_each_artifact(converted, tmp_path):
    out, junit = tmp_path / "out", tmp_path / "j.xml"
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"name: r\nmodel: {TINY_LLAMA}\n"
        "artifacts: [{format: onnx, gate: {perplexity_ratio: 0.5}}]\n"
    )
    arguments = ["run", "--recipe", str(recipe), "--out", str(out), "--junit", str(junit)]
    assert main([*arguments, "--golden", str(converted.golden)]) == 3
    root = ET.parse(junit).getroot()
    names = [case.get("name") for case in root.iter("testcase")]
    assert {"mean KL", "top-1 agreement", "stored weights", "tokenizer"} <= set(names)
    assert (root.get("failures"), root.get("errors")) == ("1", "0")
    assert root.find(".//failure").get("message").startswith("perplexity ratio")
