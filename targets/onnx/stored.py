"""Reads the weights of an ONNX artifact back, by the onnx package and onnxruntime alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.onnx.file_names import MODEL_FILE


def read_stored_weights(artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every parameter by name; integer codes are decoded by their node of the stored graph."""
    import onnx
    from onnx import external_data_helper, numpy_helper

    model = onnx.load(artifact / MODEL_FILE, load_external_data=False)
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    decoders = {
        node.input[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"
    }
    casts = {
        node.output[0]: node
        for node in model.graph.node
        if node.op_type == "Cast" and node.input[0] in initializers
    }
    parts = {casts[node.input[1]].input[0] for node in decoders.values()}
    parts |= {node.input[2] for node in decoders.values() if len(node.input) > 2}
    for name, tensor in initializers.items():
        if name in parts or not external_data_helper.uses_external_data(tensor):
            continue
        if name in decoders:
            nodes = [casts[decoders[name].input[1]], decoders[name]]
            yield name, _run(model, nodes, initializers, artifact)
        else:
            values = numpy_helper.to_array(tensor, base_dir=str(artifact))
            yield name, values.astype(np.float32)


def _run(
    model: Any, nodes: list[Any], initializers: dict[str, Any], artifact: Path
) -> NDArray[np.float32]:
    """The output of the last of ``nodes``, which read initializers and each other."""
    import onnxruntime
    from onnx import TensorProto, helper

    used = [initializers[name] for node in nodes for name in node.input if name in initializers]
    output = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes, "decode", [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], used
    )
    small = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(artifact)
    )
    session = onnxruntime.InferenceSession(
        small.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values: NDArray[np.float32] = session.run([output], {})[0]
    return values
