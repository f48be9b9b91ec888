"""Experts, sinks and latent attention of transformers' classes, in onnxruntime and OpenVINO."""

import pytest

from convert.importing.expert_operators import register_experts
from tests.support.imported import MECHANISMS, largest_differences, raw_config
from tests.support.imported_openvino import ImportedIr


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanisms_whole_cached_and_padded(mechanism, tmp_path):
    family, changes = MECHANISMS[mechanism]
    raw = raw_config(family, **changes)
    found = largest_differences(raw)
    assert max(found.values()) < 1e-5, found
    ir = ImportedIr(raw, tmp_path)
    found = ir.differences()
    assert max(found.values()) < 1e-4, found
    # A product for each of the experts' matrices of a layer, and attention that keeps its cache.
    layers = 1 if "first_k_dense_replace" in changes else 2
    assert ir.kinds["GatherMatmul"] == 2 * layers
    assert ir.kinds["ScaledDotProductAttention"] == 2


@pytest.mark.slow
def test_experts_are_registered_once():
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    register_experts()
    register_experts()
    assert "tricast" in ALL_EXPERTS_FUNCTIONS
