from dataclasses import dataclass, field

import numpy as np
import pytest

from convert.errors import UnsupportedEncodingError, UnsupportedError, UsageError
from convert.graph import parameters
from targets.checkpoint_modules import linear_layers
from targets.gaudi.checkpoint_tensors import (
    attention_modules,
    checkpoint_tensors,
    needs_calibration,
)
from targets.gaudi.options import GaudiOptions
from tests.support.models import small_model
from tests.targets.gaudi.test_compressed_tensors import encoded

Q = "model.layers.0.self_attn.q_proj"


@dataclass
class Seen:
    """Magnitudes as a calibration gives them."""

    inputs: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def small():
    return small_model("llama", num_hidden_layers=1)


@pytest.fixture(scope="module")
def seen(small):
    names = [layer.weight.name for layer in linear_layers(small.graph()).values()]
    return Seen(dict.fromkeys(names, 24.0), dict.fromkeys(names, 4.8), {0: 12.0}, {0: 0.0})


def planned(graph, seen=None, **options):
    found = checkpoint_tensors(graph, GaudiOptions(**{"card": "gaudi2", **options}), seen)
    return {tensor.name: tensor for tensor in found.tensors}, found


def value(tensor):
    return np.frombuffer(tensor.data, "<f4")


def test_scales_for_each_row_lie_beside_the_codes(small):
    tensors, found = planned(encoded(small, "fp8_240"), activations="dynamic")
    codes, scales = tensors[f"{Q}.weight"], tensors[f"{Q}.weight_scale"]
    assert (codes.dtype, codes.shape, codes.nbytes) == ("F8_E4M3", (48, 48), 48 * 48)
    assert (scales.dtype, scales.shape, scales.nbytes) == ("F32", (48, 1), 4 * 48)
    assert scales.data is None
    assert f"{Q}.input_scale" not in tensors
    (filled,) = (one for one in found.filled if one.parameter.weight.name == f"{Q}.weight")
    assert filled.planes == (f"{Q}.weight", f"{Q}.weight_scale")


def test_a_static_input_scale_is_the_largest_input_over_the_range(small, seen):
    tensors, _ = planned(encoded(small, "fp8_240"), seen)
    assert tensors[f"{Q}.input_scale"].shape == (1,)
    assert value(tensors[f"{Q}.input_scale"]) == np.float32(0.1)


def test_one_scale_for_the_tensor_is_known_before_any_weight_is_read(small, seen):
    tensors, found = planned(encoded(small, "fp8_tensor_240"), seen)
    assert value(tensors[f"{Q}.weight_scale"]) == np.float32(4.8) / np.float32(240)
    (filled,) = (one for one in found.filled if one.parameter.weight.name == f"{Q}.weight")
    assert filled.encoding.scale == value(tensors[f"{Q}.weight_scale"])
    assert filled.planes == (f"{Q}.weight",)


def test_cache_scales_belong_to_the_attention(small, seen):
    tensors, _ = planned(encoded(small, "bf16"), seen, kv_cache="fp8")
    assert value(tensors["model.layers.0.self_attn.k_scale"]) == np.float32(0.05)
    assert value(tensors["model.layers.0.self_attn.v_scale"]) == 1


def test_attention_modules_are_those_of_the_checkpoint():
    bloom = small_model("bloom", num_hidden_layers=2)
    expected = ("transformer.h.0.self_attention", "transformer.h.1.self_attention")
    assert attention_modules(bloom.graph()) == expected


def test_parameters_in_floats_have_one_tensor_each(small):
    graph = encoded(small, "bf16")
    tensors, found = planned(graph)
    assert set(tensors) == set(parameters(graph))
    assert all(len(filled.planes) == 1 for filled in found.filled)
    for parameter in parameters(graph).values():
        parameter.encoding = None
    unchanged, _ = planned(graph)
    assert {tensor.dtype for tensor in unchanged.values()} == {"F32"}


@pytest.mark.parametrize(
    ("name", "options", "needed"),
    [
        ("bf16", {}, False),
        ("bf16", {"kv_cache": "fp8"}, True),
        ("fp8_240", {}, True),
        ("fp8_240", {"activations": "dynamic"}, False),
        ("fp8_tensor_240", {"activations": "dynamic"}, True),
    ],
)
def test_a_calibration_is_needed_for_what_is_static(small, seen, name, options, needed):
    graph = encoded(small, name)
    assert needs_calibration(graph, GaudiOptions(**options)) is needed
    planned(graph, seen, **options)
    if needed:
        with pytest.raises(UsageError, match="need a calibration"):
            planned(graph, **options)
    else:
        planned(graph, **options)


@pytest.mark.parametrize("missing", ["inputs", "weights", "keys"])
def test_a_calibration_of_another_model_is_refused(small, seen, missing):
    partial = Seen(**{**vars(seen), missing: {}})
    with pytest.raises(UnsupportedError, match="did not see"):
        planned(encoded(small, "fp8_tensor_240"), partial, kv_cache="fp8")


def test_an_encoding_that_no_such_checkpoint_has_is_refused(small):
    with pytest.raises(UnsupportedEncodingError, match="found: int8"):
        planned(encoded(small, "int8"))
