"""A setting on the command line reaches the artifacts that take it, and no others."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.recipe import Artifact, Recipe
from convert.target_options import parse_settings, with_options


def recipe(*artifacts: Artifact) -> Recipe:
    return Recipe(name="r", artifacts=artifacts)


def test_it_goes_before_the_recipe_and_leaves_the_rest():
    split = Artifact(format="gguf", encoding="q4_0", options={"split_max_size": "1G"})
    other = Artifact(format="openvino", options={"kv_cache_precision": "u8"})
    changed = with_options(recipe(split, other), {"split_max_size": "2G"}).artifacts
    assert changed == (split.model_copy(update={"options": {"split_max_size": "2G"}}), other)
    assert split.options == {"split_max_size": "1G"}


def test_a_setting_that_no_artifact_has_is_refused():
    with pytest.raises(UsageError, match="no artifact has a setting split_max_size") as caught:
        with_options(recipe(Artifact(format="onnx")), {"split_max_size": "2G"})
    assert "of format gguf" in str(caught.value)


def test_a_wrong_value_is_refused_at_once():
    with pytest.raises(UsageError, match="not the size of a shard"):
        with_options(recipe(Artifact(format="gguf")), {"split_max_size": "large"})


def test_each_setting_goes_where_it_is_known():
    gguf, openvino = Artifact(format="gguf"), Artifact(format="openvino")
    settings = {"split_max_size": "2G", "kv_cache_precision": "u8"}
    changed = with_options(recipe(gguf, openvino), settings).artifacts
    assert [artifact.options for artifact in changed] == [
        {"split_max_size": "2G"},
        {"kv_cache_precision": "u8"},
    ]


def test_a_setting_that_no_target_has_names_those_there_are():
    with pytest.raises(UsageError, match="no artifact has a setting colour") as caught:
        with_options(recipe(Artifact(format="gguf")), {"colour": "red"})
    assert "split_max_size" in str(caught.value)
    with pytest.raises(UsageError) as none:
        with_options(recipe(Artifact(format="onnx")), {"colour": "red"})
    assert "they have no settings" in str(none.value)


def test_values_are_read_as_in_a_recipe():
    given = ["cards=8", "graphs=false", "card=gaudi2", "lengths=a b=c.jsonl", "kv_cache="]
    assert parse_settings(given) == {
        "cards": 8,
        "graphs": False,
        "card": "gaudi2",
        "lengths": "a b=c.jsonl",
        "kv_cache": None,
    }


@pytest.mark.parametrize("text", ["cards", "=8", "two words=8", "cards=[1", "cards={"])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(UsageError, match="cannot read --set"):
        parse_settings([text])


def test_a_setting_is_given_once():
    with pytest.raises(UsageError, match="cards is set twice"):
        parse_settings(["cards=4", "cards=8"])
