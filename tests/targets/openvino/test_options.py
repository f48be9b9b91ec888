"""Settings reach the IR under the plugin's names; others are refused."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from targets.openvino.options import KV_CACHE_PRECISIONS, Options


@pytest.mark.parametrize(("compressed", "precision"), [(True, "u8"), (False, "f16")])
def test_defaults_are_written_as_the_plugin_reads_them(compressed, precision):
    assert Options().runtime(compressed=compressed) == {
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
        "KV_CACHE_PRECISION": precision,
    }


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
