"""Recipes: what is read, what is refused, and that every fault is named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from convert.errors import RecipeError, UsageError
from convert.recipe import Artifact, load_recipe, parse_recipe, parse_to, shipped_recipes

GOOD = """
name: two
model: some/model
prompts: prompts.txt
artifacts:
  - {format: gguf, encoding: q4_0, gate: {mean_kld: 0.5}}
  - format: gguf
    encoding: q8_0
    name: big
    overrides: [{pattern: "*.down_proj.weight", encoding: f16}]
"""


def test_a_good_recipe_is_read(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(GOOD)
    recipe = load_recipe(str(path))
    assert [artifact.folder for artifact in recipe.artifacts] == ["gguf-q4_0", "big"]
    assert recipe.artifacts[0].gate.given() == {"mean_kld": 0.5}
    assert recipe.prompts == str(tmp_path / "prompts.txt")
    assert (recipe.calibrate, recipe.calibration_file) == ("sample", None)


def test_a_calibration_text_lies_beside_the_recipe(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("name: own\ncalibrate: text.txt\nartifacts: [{format: gguf}]")
    assert load_recipe(str(path)).calibration_file == str(tmp_path / "text.txt")
    path.write_text("name: own\ncalibrate: none\nartifacts: [{format: gguf}]")
    assert load_recipe(str(path)).calibration_file is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: [", "not YAML"),
        ("- 1", "not a mapping"),
        ("name: x\nartifacts: []", "artifacts"),
        ("name: x\nspeed: 3\nartifacts: [{format: gguf}]", "speed"),
        ("name: x\nartifacts: [{format: gguf, encodign: q8_0}]", "artifacts.0.encodign"),
        ("name: x\nartifacts: [{format: gguf, gate: {mean_kld: -1}}]", "mean_kld"),
        ("name: x\nartifacts: [{format: a, encoding: b}, {format: a, encoding: b}]", "a-b"),
        ("name: x\nartifacts: [{format: a, name: ../up}]", "artifacts.0.name"),
        ("name: x\nrevision: main\nartifacts: [{format: a}]", "revision"),
    ],
)
def test_a_bad_recipe_is_refused_by_the_name_of_its_fault(text, named):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="here.yaml")
    assert named in str(caught.value)
    assert caught.value.exit_code == 2


def test_unknown_and_unreadable_recipes_are_named(tmp_path):
    with pytest.raises(RecipeError, match="no recipe 'nothing-like-it'"):
        load_recipe("nothing-like-it")
    with pytest.raises(RecipeError, match="cannot read"):
        load_recipe(str(tmp_path / "absent.yaml"))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot read"):
        load_recipe(str(binary))


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_follows_the_schema(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


def test_to_names_a_format_and_perhaps_an_encoding():
    assert parse_to("gguf:q4_0") == Artifact(format="gguf", encoding="q4_0")
    assert parse_to("onnx") == Artifact(format="onnx")


@pytest.mark.parametrize("text", ["", ":q4_0", "gguf:", "GGUF q4", "gguf:q4_0:x", "../x:y"])
def test_to_of_another_form_is_refused(text):
    with pytest.raises(UsageError, match="--to"):
        parse_to(text)


def test_the_folder_says_what_decides_about_the_codes():
    assert Artifact(format="onnx", encoding="int4", method="gptq").folder == "onnx-int4-gptq"
    assert Artifact(format="gguf", target_bits=4.5).folder == "gguf-4.5bits"
    assert Artifact(format="gguf", max_kld=0.05).folder == "gguf-kld0.05"


def test_bits_and_kl_are_two_goals():
    with pytest.raises(ValidationError, match="two goals"):
        Artifact(format="gguf", target_bits=4.5, max_kld=0.05)


@pytest.mark.parametrize(
    ("given", "taken"), [("0.4", 0.4), (1, 1.0), ("search", "search"), ("none", "none")]
)
def test_alpha_of_smooth_quant_is_a_number_or_a_word(given, taken):
    assert Artifact(format="gguf", smooth_quant=given).smooth_quant == taken


@pytest.mark.parametrize("given", ["much", 1.5, "-0.1"])
def test_alpha_of_smooth_quant_is_from_0_to_1(given):
    with pytest.raises(ValidationError):
        Artifact(format="gguf", smooth_quant=given)


def test_ranks_are_part_of_the_folder_and_at_least_two():
    cut = Artifact(format="openvino", encoding="nf4_dq", tensor_parallel=4)
    assert cut.folder == "openvino-nf4_dq-tp4"
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Artifact(format="openvino", tensor_parallel=1)
