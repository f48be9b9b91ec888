"""The recipes for Arm: planned at their real size, and run on a small model."""

from __future__ import annotations

import json

import pytest

from convert.__main__ import main
from convert.manifest import read_manifest
from convert.recipe import load_recipe, shipped_recipes
from tests.support.published import LLAMA_7B, LLAMA_8B, LLAMA_70B
from tests.support.runs import TINY_LLAMA

PLANS = {
    # Bytes of the tensors in the file that llama-quantize makes of the same shapes.
    "llama3.3-70b-arm-q4_0": (LLAMA_70B, 39_961_870_336),
    "llama3.1-8b-arm-q4_k_m": (LLAMA_8B, 4_912_898_048),
    "llama2-7b-arm-iq4_nl": (LLAMA_7B, 3_847_610_368),
}


def test_no_recipe_is_left_out():
    assert set(PLANS) == {name for name in shipped_recipes() if "-arm-" in name}


@pytest.mark.parametrize("name", PLANS)
def test_a_recipe_is_planned_at_its_real_size(name, tmp_path, capsys):
    config, nbytes = PLANS[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert main(["plan", str(path), "--recipe", name, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (planned,) = plan["artifacts"]
    assert planned["bytes"] == nbytes


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_a_recipe_runs_on_a_small_model_with_the_gate_on(name, tmp_path):
    command = ["run", str(TINY_LLAMA), "--recipe", name, "--out", str(tmp_path)]
    prompts = str(TINY_LLAMA / "prompts.txt")
    assert main([*command, "--prompts", prompts]) == 0
    for artifact in load_recipe(name).artifacts:
        manifest = read_manifest(tmp_path / artifact.folder)
        assert manifest.gate.status == "passed"
        assert manifest.recipe.encoding == artifact.encoding
