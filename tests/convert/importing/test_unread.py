"""Parameters that nothing reads are known, with the names they are tied to."""

import numpy as np
import onnx_ir as ir

from convert.importing.binding import bound
from convert.importing.unread import note_unread, unread_names, unread_note
from convert.weights import ArrayWeight


def model():
    values = [
        ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2, 2)))
        for name in ("x", "read", "tower")
    ]
    node = ir.Node("", "MatMul", values[:2])
    node.outputs[0].name = "y"
    graph = ir.Graph(
        values[:1], node.outputs, nodes=[node], initializers=values[1:], opset_imports={"": 24}
    )
    made = ir.Model(graph, ir_version=11)
    made.metadata_props.update({"tricast.tied": "{}", "tricast.ignored": "[]"})
    return made


def test_they_are_noted():
    made = model()
    note_unread(made, {"read": "read", "tower": "tower", "spire": "tower"})
    assert unread_names(made) == {"tower", "spire"}
    assert unread_note(made) == "2 parameters that no text reaches are left out, such as spire"


def test_without_any_there_is_no_note():
    made = model()
    del made.graph.initializers["tower"]
    note_unread(made, {})
    assert not unread_names(made)
    assert unread_note(made) is None


def test_they_are_not_asked_for_and_others_are_refused_as_before():
    made = model()
    note_unread(made, {})
    weights = {
        name: ArrayWeight(name, np.zeros((2, 2), np.float32)) for name in ("read", "tower", "other")
    }
    made.metadata_props["tricast.ignored"] = '["other"]'
    assert bound(made, ["read"], weights, None).keys() == {"read"}
