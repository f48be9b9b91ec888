"""A checkpoint is opened once, early where that costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convert.errors import MissingFileError, UsageError
from convert.opening import open_early, open_model
from convert.recipe import Recipe
from tests.support.runs import TINY_LLAMA


def recipe(model):
    return Recipe(name="r", model=model, artifacts=[{"format": "onnx"}])


def test_a_folder_is_opened_early_and_being_hashed():
    opened = open_early(recipe(str(TINY_LLAMA)))
    assert opened.checkpoint.label == "tiny-llama"
    assert {file.path for file in opened.inputs.record().files} >= {"config.json"}


@pytest.mark.parametrize("model", [None, "organisation/model", "no/such/file.gguf"])
def test_anything_else_has_to_wait(model):
    assert open_early(recipe(model)) is None


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        open_early(recipe(str(tmp_path)))


def test_a_recipe_without_a_model_needs_one():
    with pytest.raises(UsageError, match="no model is named"):
        open_model(recipe(None))


def test_opening_needs_nothing_that_takes_long_to_import():
    """Or the hashing of the checkpoint would begin no earlier than the rest."""
    program = "import convert.opening, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "convert.checkpoint" in loaded
    assert not {"onnx_ir", "sympy", "numba", "torch", "huggingface_hub"} & set(loaded)
