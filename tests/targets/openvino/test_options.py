"""Settings reach the IR under the plugin's names; others are refused."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from targets.openvino.options import KV_CACHE_PRECISIONS, Options


@pytest.mark.parametrize(("compressed", "precision"), [(True, "u8"), (False, "f16")])
def test_defaults_are_written_as_the_plugin_reads_them(compressed, precision):
    assert Options().runtime(compressed=compressed) == {
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "32",
        "KV_CACHE_PRECISION": precision,
    }


@pytest.mark.parametrize(("weights", "activations"), [(16, 16), (64, 64), (128, 128), (256, 128)])
def test_activations_have_the_groups_of_the_weights(weights, activations):
    written = Options().runtime(compressed=True, weight_group=weights)
    assert written["DYNAMIC_QUANTIZATION_GROUP_SIZE"] == str(activations)


@pytest.mark.parametrize("size", [0, 32, 256])
def test_a_given_group_of_activations_is_kept(size):
    options = Options.parse({"dynamic_quantization_group_size": size})
    written = options.runtime(compressed=True, weight_group=64)
    assert written["DYNAMIC_QUANTIZATION_GROUP_SIZE"] == str(size)


@pytest.mark.parametrize("precision", KV_CACHE_PRECISIONS)
def test_settings_are_taken(precision):
    given = {"kv_cache_precision": precision, "dynamic_quantization_group_size": 128}
    written = Options.parse(given).runtime(compressed=True)
    assert written["KV_CACHE_PRECISION"] == precision
    assert written["DYNAMIC_QUANTIZATION_GROUP_SIZE"] == "128"


@pytest.mark.parametrize(
    "given",
    [
        {"kv_precision": "u8"},
        {"kv_cache_precision": "i3"},
        {"kv_cache_precision": 8},
        {"dynamic_quantization_group_size": -32},
        {"dynamic_quantization_group_size": 33},
        {"dynamic_quantization_group_size": "32"},
        {"dynamic_quantization_group_size": True},
    ],
    ids=str,
)
def test_bad_settings_are_refused(given):
    with pytest.raises(UsageError):
        Options.parse(given)
