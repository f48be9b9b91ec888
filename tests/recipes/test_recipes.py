"""The shipped recipes: each deployment that was promised is there, and says what was published."""

from __future__ import annotations

import pytest

from convert.recipe import load_recipe, shipped_recipes
from targets.gaudi.options import parse_options

GAUDI = {
    "bloomz-176b-gaudi2-bf16-tp8": ("bigscience/bloomz", "bf16", "gaudi2", 8, 116),
    "bloomz-7b-gaudi1-bf16": ("bigscience/bloomz-7b1", "bf16", "gaudi1", 1, 116),
    "bloomz-7b-gaudi2-bf16": ("bigscience/bloomz-7b1", "bf16", "gaudi2", 1, 116),
    "llama2-13b-gaudi2-bf16": ("meta-llama/Llama-2-13b-hf", "bf16", "gaudi2", 1, 2304),
    "llama2-7b-gaudi2-bf16": ("meta-llama/Llama-2-7b-hf", "bf16", "gaudi2", 1, 2304),
    "llama2-7b-gaudi2-fp8": ("meta-llama/Llama-2-7b-hf", "fp8", "gaudi2", 1, 2304),
    "llama3.3-70b-gaudi3-fp8-tp8": (
        *("meta-llama/Llama-3.3-70B-Instruct", "fp8", "gaudi3", 8),
        4096 + 1024,
    ),
}
"""Recipe, model, encoding, card, cards, and how many slots of cache the deployment needs."""


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_gaudi_target_takes_the_options_of_every_recipe(name):
    for artifact in load_recipe(name).artifacts:
        if artifact.format == "gaudi":
            options = parse_options(artifact.options)
            assert options.hardware.fp8_largest or artifact.encoding == "bf16"
        else:
            assert not artifact.options


@pytest.mark.parametrize("name", GAUDI)
def test_a_recipe_for_gaudi_is_the_deployment_of_its_name(name):
    recipe = load_recipe(name)
    [artifact] = recipe.artifacts
    options = parse_options(artifact.options)
    slots = (options.prompt_tokens or 0) + (options.new_tokens or 0)
    found = (recipe.model, artifact.encoding, options.card, options.cards, slots)
    assert found == GAUDI[name]
    # DeepSpeed cuts the model while loading, and cannot read one that was cut before.
    assert artifact.tensor_parallel is None


def test_no_recipe_for_gaudi_is_left_out_here():
    named = {name for name in shipped_recipes() if "gaudi" in name}
    assert named == GAUDI.keys()
