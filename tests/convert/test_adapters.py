"""LoRA adapters: what is merged, what is refused, and that it equals peft's rule."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from convert.adapters import CONFIG, merged_into, open_adapter
from convert.checkpoint import open_checkpoint
from convert.errors import (
    BrokenInputError,
    MissingFileError,
    TensorMismatchError,
    UnsupportedConfigError,
)
from convert.inputs import Inputs, describe_source
from convert.weights import ArrayWeight, read_float32
from tests.support.adapters import factors, save_adapter

QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
EMBEDDING = "model.embed_tokens"
SHAPES = {QUERY: (48, 32), DOWN: (32, 72), EMBEDDING: (101, 32)}
RNG = np.random.default_rng(7)
ARRAYS = {f"{name}.weight": RNG.standard_normal(SHAPES[name]).astype(np.float32) for name in SHAPES}
WEIGHTS = {name: ArrayWeight(name, array) for name, array in ARRAYS.items()}


def merged(*folders):
    adapters = [open_adapter(folder, "model.") for folder in folders]
    found = merged_into("m", WEIGHTS, adapters)
    return {name: read_float32(weight) for name, weight in found.items()}


def product(tensors, module):
    if module == EMBEDDING:
        up, down = tensors[f"{module}.lora_embedding_B"], tensors[f"{module}.lora_embedding_A"]
        return (up.astype(np.float64) @ down).T
    up, down = tensors[f"{module}.lora_B.weight"], tensors[f"{module}.lora_A.weight"]
    return up.astype(np.float64) @ down


def test_scaled_products_are_added(tmp_path):
    tensors = factors(SHAPES)
    found = merged(save_adapter(tmp_path, tensors))
    for module in SHAPES:
        expected = ARRAYS[f"{module}.weight"] + 2.0 * product(tensors, module)
        np.testing.assert_allclose(found[f"{module}.weight"], expected, rtol=0, atol=1e-5)


def test_ranks_and_alphas_of_single_modules_and_of_rank_stabilization(tmp_path):
    tensors = factors({QUERY: SHAPES[QUERY]}) | factors({DOWN: SHAPES[DOWN]}, rank=6)
    patterns = {"rank_pattern": {"down_proj": 6}, "alpha_pattern": {r"layers\.1\.mlp\..*": 3}}
    found = merged(save_adapter(tmp_path, tensors, use_rslora=True, **patterns))
    for module, scale in ((QUERY, 8 / math.sqrt(4)), (DOWN, 3 / math.sqrt(6))):
        expected = ARRAYS[f"{module}.weight"] + scale * product(tensors, module)
        np.testing.assert_allclose(found[f"{module}.weight"], expected, rtol=0, atol=1e-5)


def test_several_are_merged_one_after_the_other(tmp_path):
    one, two = factors({QUERY: SHAPES[QUERY]}), factors({QUERY: SHAPES[QUERY]}, seed=1)
    found = merged(save_adapter(tmp_path / "a", one), save_adapter(tmp_path / "b", two))
    expected = ARRAYS[f"{QUERY}.weight"] + 2.0 * (product(one, QUERY) + product(two, QUERY))
    np.testing.assert_allclose(found[f"{QUERY}.weight"], expected, rtol=0, atol=1e-5)


def test_modules_that_were_trained_whole_take_the_place_of_the_original(tmp_path):
    own = np.ones(SHAPES[DOWN], np.float32)
    tensors = factors({QUERY: SHAPES[QUERY]}) | {f"{DOWN}.weight": own}
    found = merged(save_adapter(tmp_path, tensors, modules_to_save=["down_proj"]))
    np.testing.assert_array_equal(found[f"{DOWN}.weight"], own)


def test_an_adapter_of_a_model_without_its_head_gets_the_prefix(tmp_path):
    tensors = factors({QUERY.removeprefix("model."): SHAPES[QUERY]})
    adapter = open_adapter(save_adapter(tmp_path, tensors), "model.")
    assert list(adapter.updates) == [f"{QUERY}.weight"]


def test_a_pickle_is_read_too(tmp_path):
    import torch

    tensors = factors({QUERY: SHAPES[QUERY]})
    folder = save_adapter(tmp_path, tensors)
    (folder / "adapter_model.safetensors").unlink()
    whole = {f"base_model.model.{name}": torch.from_numpy(each) for name, each in tensors.items()}
    torch.save(whole, folder / "adapter_model.bin")
    assert open_adapter(folder).updates[f"{QUERY}.weight"].scale == 2.0


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"layer_replication": [[0, 1]]}, "replicated"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
    ],
)
def test_other_kinds_are_refused_by_name(config, named, tmp_path):
    folder = save_adapter(tmp_path, factors({QUERY: SHAPES[QUERY]}), **config)
    with pytest.raises(UnsupportedConfigError, match=named):
        open_adapter(folder)


def test_tensors_of_unknown_use_are_refused(tmp_path):
    magnitude = {f"{QUERY}.lora_magnitude_vector": np.ones(48, np.float32)}
    folder = save_adapter(tmp_path, factors({QUERY: SHAPES[QUERY]}) | magnitude)
    with pytest.raises(UnsupportedConfigError, match="magnitude"):
        open_adapter(folder)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    for shapes in ({QUERY: (48, 33)}, {"model.layers.9.self_attn.q_proj": (48, 32)}):
        adapter = open_adapter(save_adapter(tmp_path, factors(shapes)))
        with pytest.raises(TensorMismatchError, match="another model"):
            merged_into("m", WEIGHTS, [adapter])


def test_factors_that_contradict_each_other_or_the_configuration_are_broken(tmp_path):
    tensors = factors({QUERY: SHAPES[QUERY]})
    with pytest.raises(BrokenInputError, match="not of its rank"):
        open_adapter(save_adapter(tmp_path, tensors, r=5))
    with pytest.raises(BrokenInputError, match="no lora_alpha"):
        open_adapter(save_adapter(tmp_path, tensors, lora_alpha="x"))
    del tensors[f"{QUERY}.lora_B.weight"]
    with pytest.raises(BrokenInputError, match="lacks a factor"):
        open_adapter(save_adapter(tmp_path, tensors))
    with pytest.raises(BrokenInputError, match="no tensors"):
        open_adapter(save_adapter(tmp_path, {}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lora_alpha": float("nan")}, "no lora_alpha"),
        ({"lora_alpha": 10**400}, "no lora_alpha"),
        ({"alpha_pattern": [1]}, "alpha_pattern that are none"),
        ({"modules_to_save": 3}, "modules_to_save that are none"),
        ({"rank_pattern": {"(": 1}}, "pattern of names that cannot be used"),
        ({"rank_pattern": {"((.*)*)*x": 1}}, "pattern of names that cannot be used"),
        ({"rank_pattern": {".*" * 9 + "x": 1}}, "pattern of names that cannot be used"),
    ],
)
def test_settings_that_are_none_are_refused_at_once(config, said, tmp_path):
    folder = save_adapter(tmp_path, factors({QUERY: SHAPES[QUERY]}), **config)
    with pytest.raises((BrokenInputError, UnsupportedConfigError), match=said):
        open_adapter(folder)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="no adapter"):
        open_adapter(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(MissingFileError, match="has no tensors"):
        open_adapter(tmp_path)


def test_a_checkpoint_knows_its_adapters_and_hashes_them(tmp_path):
    from tests.support.models import small_model

    model = small_model("llama")
    base = model.save(tmp_path / "base")
    shape = model.weights[f"{QUERY}.weight"].shape
    folder = save_adapter(tmp_path / "style", factors({QUERY: shape}))
    plain = open_checkpoint(str(base))
    checkpoint = open_checkpoint(str(base), adapters=[folder])
    assert checkpoint.label == "base+style"
    assert describe_source(checkpoint).digest != describe_source(plain).digest
    paths = [file.path for file in describe_source(checkpoint).files]
    assert paths[-2:] == ["lora-1/adapter_config.json", "lora-1/adapter_model.safetensors"]
    assert "lora-1/adapter_config.json" in Inputs(checkpoint).states
