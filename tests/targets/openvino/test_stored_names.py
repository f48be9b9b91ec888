"""Parameters whose names do not say that they are parameters are read back, too."""

import numpy as np
import openvino
from openvino import opset13 as ops

from targets.openvino.ir_file import serialize
from targets.openvino.stored import note_names, stored_weights


def test_noted_names_are_read_back(tmp_path):
    sinks, scale = ops.constant(np.arange(3, dtype=np.float32)), ops.constant(np.float32(2))
    sinks.set_friendly_name("attn.sinks")
    scale.set_friendly_name("attn.scale")
    model = openvino.Model([ops.result(ops.multiply(sinks, scale))], [], "some")
    note_names(model, ["attn.sinks"])
    xml, constants = serialize(model)
    (tmp_path / "openvino_model.xml").write_bytes(xml)
    (tmp_path / "openvino_model.bin").write_bytes(constants)
    ((name, values),) = stored_weights(tmp_path)
    assert name == "attn.sinks"
    np.testing.assert_array_equal(values, [0, 1, 2])
