"""Every deployment on Gaudi that a recipe is shipped for, planned at its real size."""

from __future__ import annotations

import json

import pytest

from convert.__main__ import main
from convert.recipe import shipped_recipes
from tests.support.published import BLOOM_7B, BLOOM_176B, LLAMA_7B, LLAMA_13B, LLAMA_70B

MODELS = {
    "bloomz-176b-gaudi2-bf16-tp8": BLOOM_176B,
    "bloomz-7b-gaudi1-bf16": BLOOM_7B,
    "bloomz-7b-gaudi2-bf16": BLOOM_7B,
    "llama2-13b-gaudi2-bf16": LLAMA_13B,
    "llama2-7b-gaudi2-bf16": LLAMA_7B,
    "llama2-7b-gaudi2-fp8": LLAMA_7B,
    "llama3.3-70b-gaudi3-fp8-tp8": LLAMA_70B,
}


def bare_config(tmp_path, raw):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(raw))
    return str(path)


def test_no_recipe_for_gaudi_is_left_out():
    assert set(MODELS) == {name for name in shipped_recipes() if "gaudi" in name}


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_fits_the_cards_it_names(name, tmp_path, capsys):
    config = bare_config(tmp_path, MODELS[name])
    assert main(["plan", config, "--recipe", name, "--json"]) == 0
    [artifact] = json.loads(capsys.readouterr().out)["artifacts"]
    assert artifact["deployment"]["fits"] is True
    held = [part["bytes"] for part in artifact["deployment"]["parts"] if "weights" in part["kind"]]
    cards = int(name.rpartition("-tp")[2]) if "-tp" in name else 1
    # Embeddings are whole on every card; a head that is tied to them is copied for its slices.
    assert artifact["bytes"] / cards <= sum(held) < 1.25 * artifact["bytes"] / cards


def test_bloomz_176b_is_refused_on_4_cards_with_the_shortfall(tmp_path, capsys):
    config = bare_config(tmp_path, BLOOM_176B)
    command = ["plan", config, "--recipe", "bloomz-176b-gaudi2-bf16-tp8"]
    assert main([*command, "--set", "cards=4"]) == 5
    printed = capsys.readouterr()
    assert "DOES NOT FIT" in printed.out
    assert "bytes short on each" in printed.err
    assert "use 8 cards" in printed.err


def test_a_setting_that_does_not_exist_is_refused(tmp_path, capsys):
    config = bare_config(tmp_path, LLAMA_7B)
    command = ["plan", config, "--recipe", "llama2-7b-gaudi2-bf16", "--set"]
    assert main([*command, "colour=red"]) == 2
    assert "no artifact has a setting colour" in capsys.readouterr().err
    assert main([*command, "cards=none"]) == 2
    assert "cards" in capsys.readouterr().err
