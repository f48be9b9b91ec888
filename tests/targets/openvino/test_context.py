"""Names come from the graph, and nodes that several operators need are made once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from convert.errors import UnsupportedError
from targets.openvino.context import Context


def test_new_nodes_are_named_and_old_ones_keep_their_names():
    context, old, new = Context(), ir.Value(name="old"), ir.Value(name="new")
    first = ops.constant(np.ones(2, np.float32))
    context.bind(old, first, "first")
    total = ops.add(first, ops.constant(np.ones(2, np.float32)))
    context.bind(new, ops.negative(total), "second")
    names = {node.get_friendly_name() for node in (first, total, context.node(new))}
    assert names == {"first", "second/Add.1", "second"}


def test_shared_nodes_are_built_once():
    context, value = Context(), ir.Value(name="x")
    context.bind(value, ops.constant(np.ones(2, np.float32)), "x")
    first, again = (context.shared("kind", value, ops.negative) for _ in range(2))
    assert first is again
    assert first.get_friendly_name() == "x/kind"


def test_an_absent_input_is_refused():
    with pytest.raises(UnsupportedError, match="lacks an input"):
        Context().node(None)
