"""Planes become the shapes that the runtime keeps compressed."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.openvino.weights import stored_weight


def parameter(name, shape=(8, 32)):
    return Parameter(ArrayWeight("w", np.ones(shape, np.float32)), encoding(name))


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("int8", {"codes": [8, 32], "scales": [8, 1]}),
        ("int8_asym", {"codes": [8, 32], "scales": [8, 1], "zero_points": [8, 1]}),
        ("int4_sym_g16", {"codes": [8, 2, 16], "scales": [8, 2, 1]}),
        ("int4_g32", {"codes": [8, 32], "scales": [8, 1], "zero_points": [8, 1]}),
        ("nf4_g16", {"codes": [8, 2, 16], "scales": [8, 2, 1]}),
        ("nf4_dq_g16", {"codes": [8, 2, 16], "scales": [1, 16], "super_scales": [1, 1]}),
        ("nf4_dq_g32", {"codes": [8, 32], "scales": [1, 8], "super_scales": [1, 1]}),
        ("bf16", {"values": [8, 32]}),
    ],
)
def test_planes_have_the_shapes_that_compress(name, shapes):
    stored = stored_weight(parameter(name))
    found = {plane.name: list(node.get_output_shape(0)) for node, plane in stored.placeholders}
    assert found == shapes
    assert list(stored.node.get_output_shape(0)) == [8, 32]
    assert stored.node.get_output_element_type(0).to_string() == "f32"
    assert stored.compressed == ("codes" in shapes)


@pytest.mark.parametrize(
    ("name", "group"),
    [("int4_g16", 16), ("int4_sym_g16", 16), ("int4_g32", None), ("int8", None), ("nf4_g16", None)],
)
def test_integers_that_share_a_scale_are_counted(name, group):
    assert stored_weight(parameter(name)).group == group


def test_blocks_are_refused_by_name():
    with pytest.raises(UnsupportedEncodingError, match="'w' as q4_0"):
        stored_weight(parameter("q4_0"))


def test_groups_in_a_vector_are_refused():
    with pytest.raises(UnsupportedEncodingError):
        stored_weight(parameter("int8", shape=(8,)))
