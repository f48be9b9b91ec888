"""The published JSON Schema is that of the code, and editors can use it."""

from __future__ import annotations

import json

import pytest

from convert.__main__ import main
from convert.recipe import load_recipe, shipped_recipes
from convert.recipe_schema import schema, shipped, text


def test_the_shipped_schema_is_up_to_date():
    assert shipped() == text(), "run: python -m convert.recipe_schema"


def test_it_proposes_names_and_prescribes_none():
    artifact = schema()["$defs"]["Artifact"]["properties"]
    proposed = artifact["format"]["anyOf"]
    assert "gguf" in proposed[0]["enum"]
    assert {"type": "string"} in proposed
    assert {"q4_0", "q4_k_m", "int4"} <= set(artifact["encoding"]["anyOf"][0]["enum"])
    assert schema()["additionalProperties"] is False


def test_every_shipped_recipe_follows_it():
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    validator.check_schema(schema())
    check = validator(schema())
    for name in shipped_recipes():
        document = json.loads(load_recipe(name).model_dump_json(exclude_unset=True))
        assert list(check.iter_errors(document)) == [], name
    assert list(check.iter_errors({"name": "r", "artifacts": [{"formats": "gguf"}]}))


def test_the_command_prints_it(capsys):
    assert main(["lint-recipe", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
