"""A setting on the command line reaches the artifacts that take it, and no others."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.recipe import Artifact, Recipe
from convert.target_options import with_option


def recipe(*artifacts: Artifact) -> Recipe:
    return Recipe(name="r", artifacts=artifacts)


def test_it_goes_before_the_recipe_and_leaves_the_rest():
    split = Artifact(format="gguf", encoding="q4_0", options={"split_max_size": "1G"})
    other = Artifact(format="openvino", options={"kv_cache_precision": "u8"})
    changed = with_option(recipe(split, other), "split_max_size", "2G").artifacts
    assert changed == (split.model_copy(update={"options": {"split_max_size": "2G"}}), other)
    assert split.options == {"split_max_size": "1G"}


def test_a_setting_that_no_artifact_has_is_refused():
    with pytest.raises(UsageError, match="no artifact has a setting split_max_size") as caught:
        with_option(recipe(Artifact(format="onnx")), "split_max_size", "2G")
    assert "of format gguf" in str(caught.value)


def test_a_wrong_value_is_refused_at_once():
    with pytest.raises(UsageError, match="not the size of a shard"):
        with_option(recipe(Artifact(format="gguf")), "split_max_size", "large")
