"""The GitHub action: its form, and its shell, run as a step would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.support.runs import PROMPTS, ROOT, TINY_LLAMA

ACTION = ROOT / "action.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "convert.yml"
SCRIPTS = ROOT / ".github" / "action"

STUB = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["STUB_LOG"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ.get("STUB_CODE", "0")))
"""


@pytest.fixture
def step(tmp_path):
    """Run a script of the action with a `convert` that only notes what it is asked."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "convert"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def run(script, **variables):
        path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        log = tmp_path / "log"
        own = {"PATH": path, "STUB_LOG": str(log), "GITHUB_OUTPUT": str(tmp_path / "output")}
        given = {f"TRICAST_{name.upper()}": value for name, value in variables.items()}
        environment = {**os.environ, **own, "PYTHONPATH": str(ROOT), **given}
        ended = subprocess.run(
            [SCRIPTS / script], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        lines = log.read_text().splitlines() if log.exists() else []
        return ended, [json.loads(line) for line in lines]

    return run


def test_the_files_follow_githubs_schemas():
    pytest.importorskip("check_jsonschema")
    for kind, path in (("github-actions", ACTION), ("github-workflows", WORKFLOW)):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}"]
        ended = subprocess.run([*command, path], check=False, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout


def test_no_input_is_pasted_into_a_script_and_every_action_is_pinned():
    action, workflow = (yaml.safe_load(path.read_text()) for path in (ACTION, WORKFLOW))
    steps = [*action["runs"]["steps"], *workflow["jobs"]["convert"]["steps"]]
    assert len(steps) > 8
    for one in steps:
        assert "${{" not in one.get("run", "")
        uses = one.get("uses", "./")
        assert uses.startswith("./") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", uses)
        if "run" in one:
            script = re.search(r"[a-z]+\.sh", one["run"])[0]
            assert os.access(SCRIPTS / script, os.X_OK)
    given = set(workflow["jobs"]["convert"]["steps"][-1]["with"])
    assert given <= set(action["inputs"])
    assert set(workflow[True]["workflow_call"]["inputs"]) >= given


def test_a_recipe_is_run_with_arguments_as_they_are(step):
    evil = "$(touch evil); `x` \" ' *"
    ended, asked = step(
        "run.sh", recipe="r.yaml", model="-m", arguments=f"--threads\r\n4\n\n--set\na={evil}\n",
        out="o ut", reports="re ports",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert asked == [
        [
            *["run", "--recipe", "r.yaml", "--out", "o ut", "--junit", "re ports/run.xml"],
            *["--threads", "4", "--set", f"a={evil}", "--", "-m"],
        ]
    ]


def test_without_model_and_arguments_the_recipe_says_all(step):
    _, asked = step("run.sh", recipe="three-ways", out="o", reports="r")
    assert asked == [["run", "--recipe", "three-ways", "--out", "o", "--junit", "r/run.xml"]]


@pytest.mark.parametrize(("how", "options"), [("gate", []), ("hashes", ["--no-gate"])])
def test_what_the_cache_had_is_verified(step, tmp_path, how, options):
    for name in ("a b", "c"):
        (tmp_path / "o" / name).mkdir(parents=True)
        (tmp_path / "o" / name / "manifest.json").write_text("{}")
    (tmp_path / "o" / "no artifact").mkdir()
    given = {"recipe": "r", "out": "o", "reports": "j", "cache_hit": "true"}
    ended, asked = step("run.sh", **given, verify_cached=how)
    assert ended.returncode == 0, ended.stderr
    assert asked == [
        ["verify", *options, "--junit", f"j/verify-{name}.xml", "--", f"o/{name}"]
        for name in ("a b", "c")
    ]


@pytest.mark.parametrize(
    "wrong", [{"cache_hit": "true"}, {"cache_hit": "true", "verify_cached": "no"}, {"recipe": ""}]
)
def test_a_step_that_makes_no_sense_fails(step, wrong):
    ended, asked = step("run.sh", **{"recipe": "r", "out": "o", "reports": "j", **wrong})
    assert ended.returncode != 0
    assert asked == []


def test_a_failing_gate_fails_the_step(step, monkeypatch):
    monkeypatch.setenv("STUB_CODE", "3")
    ended, _ = step("run.sh", recipe="r", out="o", reports="j")
    assert ended.returncode == 3


def test_the_key_is_an_output_and_refusals_fail(step, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\nmodel: {TINY_LLAMA}\nartifacts: [{{format: onnx}}]\n")
    ended, _ = step("key.sh", recipe=str(recipe), arguments="--strict\n")
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"key=tricast-[0-9a-f]{64}\n", (tmp_path / "output").read_text())
    ended, _ = step("key.sh", recipe="nonsense")
    assert ended.returncode != 0
    assert "there is no recipe" in ended.stderr


def test_extras_are_names(step):
    ended, _ = step("install.sh", extras="arm; touch evil")
    assert ended.returncode == 2


@pytest.mark.slow
def test_a_recipe_really_runs_and_is_verified_from_the_cache(step, tmp_path, monkeypatch):
    (tmp_path / "bin" / "convert").write_text(
        f"#!{sys.executable}\nimport sys\nfrom convert.__main__ import program\n"
        "sys.exit(program())\n"
    )
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nartifacts: [{format: onnx, encoding: int8}]\n")
    given = {"recipe": str(recipe), "model": str(TINY_LLAMA), "out": "o", "reports": "j"}
    ended, _ = step("run.sh", **given, arguments=f"--prompts\n{PROMPTS}\n--threads\n1")
    assert ended.returncode == 0, ended.stderr
    ended, _ = step("run.sh", **given, cache_hit="true")
    assert ended.returncode == 0, ended.stderr
    for name in ("run.xml", "verify-onnx-int8.xml"):
        root = ET.parse(tmp_path / "j" / name).getroot()
        assert int(root.get("tests")) > 5
        assert (root.get("failures"), root.get("errors")) == ("0", "0")
