"""Tensors of all experts of a layer are read expert by expert."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.expert_parts import (
    in_parts,
    note_parted,
    part_pattern,
    parted,
    place_of_part,
)
from convert.importing.stacking import StackedWeight
from convert.weights import ArrayWeight, FileWeight, FloatType, read_float32

NAMES = {
    "layers.0.experts.gate_up_proj": "layers.0.experts.{}.gate_up_proj.weight",
    "layers.0.experts.gate_up_proj_bias": "layers.0.experts.{}.gate_up_proj.bias",
    "moe.input_linear.weight": "moe.input_linear.{}.weight",
}


def graph(counts):
    empty = ir.Graph([], [], nodes=[], opset_imports={"": 24}, name="some")
    model = ir.Model(empty, ir_version=11)
    note_parted(model, counts)
    return model


@pytest.mark.parametrize(("whole", "pattern"), NAMES.items())
def test_names_of_parts_lead_back(whole, pattern):
    assert part_pattern(whole) == pattern
    assert place_of_part(pattern.format(11)) == (whole, 11)


def test_other_names_are_no_parts():
    assert place_of_part("layers.self_attn.q_proj.weight") is None
    assert place_of_part("layers.0.experts.gate_up_proj") is None


@pytest.mark.parametrize("kind", ["file", "array", "stack"])
def test_parts_are_slices(kind, tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    name = "experts.down_proj"
    if kind == "file":
        (tmp_path / "data").write_bytes(b"head" + values.tobytes())
        whole = FileWeight(name, values.shape, FloatType.F32, tmp_path / "data", 4)
    elif kind == "array":
        whole = ArrayWeight(name, values)
    else:
        whole = StackedWeight(name, tuple(ArrayWeight("w", each) for each in values))
    found = in_parts(graph({name: 3}), {name: whole, "other": ArrayWeight("other", values[0])})
    assert list(found) == [*(f"experts.{number}.down_proj.weight" for number in range(3)), "other"]
    for number in range(3):
        part = found[f"experts.{number}.down_proj.weight"]
        assert part.name == f"experts.{number}.down_proj.weight"
        np.testing.assert_array_equal(read_float32(part), values[number])
        np.testing.assert_array_equal(part.read_rows(1, 3), values[number, 1:3])
        ((target, start, rows),) = part.put_back(values[number])
        assert (target.name, start, rows.shape) == (part.name, 0, (4, 5))


def test_vectors_have_parts_too():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = in_parts(graph({"e.up_bias": 2}), {"e.up_bias": ArrayWeight("e.up_bias", values)})
    np.testing.assert_array_equal(read_float32(found["e.1.up.bias"]), values[1])


def test_a_tensor_of_another_length_stays_what_it_is():
    model = graph({"experts.down_proj": 4})
    assert parted(model) == {"experts.down_proj": 4}
    whole = ArrayWeight("experts.down_proj", np.zeros((3, 2, 2), np.float32))
    assert in_parts(model, {whole.name: whole}) == {whole.name: whole}
