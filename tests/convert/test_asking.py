"""What is asked for in particular goes before the recipe; `test_api.py` tests the rest."""

from __future__ import annotations

from convert.asking import recipe_of


def test_none_leaves_what_the_recipe_says():
    keys = {"name": "r", "model": "m", "revision": "v1", "calibrate": "a.txt"}
    recipe = {**keys, "artifacts": [{"format": "onnx", "method": "gptq"}]}
    same = recipe_of(None, recipe, (), common={"method": None}, calibrate=None)
    assert (same.model, same.revision, same.calibrate) == ("m", "v1", "a.txt")
    assert same.artifacts[0].method == "gptq"
    other = recipe_of("n", recipe, ["gguf"], common={"method": "awq"}, calibrate="none")
    assert (other.model, other.revision, other.calibrate) == ("n", None, "none")
    assert [(each.format, each.method) for each in other.artifacts] == [("gguf", "awq")]
    assert recipe["artifacts"][0]["method"] == "gptq"
