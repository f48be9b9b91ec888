"""The recipes for Xeon and GPU Max: planned at their real size, and run on a small model."""

from __future__ import annotations

import json

import pytest

from convert.__main__ import main
from convert.manifest import read_manifest
from convert.recipe import load_recipe, shipped_recipes
from tests.support.published import LLAMA2_70B, LLAMA_7B, LLAMA_13B
from tests.support.runs import TINY_LLAMA

MODELS = {
    "llama2-7b-xeon-bf16": LLAMA_7B,
    "llama2-7b-xeon-int8": LLAMA_7B,
    "llama2-13b-xeon-int8": LLAMA_13B,
    "llama2-70b-xeon-int4": LLAMA2_70B,
    "llama2-7b-gpumax-bf16": LLAMA_7B,
    "llama2-13b-gpumax-bf16": LLAMA_13B,
}
BITS = {"bf16": 16, "w8a8": 8, "int4_g64": 4.3125, "int4_sym": 4.125}


def test_no_recipe_is_left_out():
    assert set(MODELS) == {
        name
        for name in shipped_recipes()
        if name.startswith(("llama2", "llama3")) and ("-xeon-" in name or "-gpumax-" in name)
    }


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_is_planned_at_its_real_size(name, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(MODELS[name]))
    assert main(["plan", str(path), "--recipe", name, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    recipe = load_recipe(name)
    assert len(plan["artifacts"]) == len(recipe.artifacts)
    for planned, artifact in zip(plan["artifacts"], recipe.artifacts, strict=True):
        least = BITS[artifact.encoding] / 8 * plan["parameters"]
        assert least <= planned["bytes"] < 1.1 * least


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_runs_on_a_small_model_with_the_gate_on(name, tmp_path):
    command = ["run", str(TINY_LLAMA), "--recipe", name, "--out", str(tmp_path)]
    prompts = str(TINY_LLAMA / "prompts.txt")
    assert main([*command, "--prompts", prompts]) == 0
    for artifact in load_recipe(name).artifacts:
        manifest = read_manifest(tmp_path / artifact.folder)
        assert manifest.gate.status == "passed"
        assert manifest.recipe.encoding == artifact.encoding
