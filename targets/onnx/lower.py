"""The graph as model.onnx, its weights in model.onnx.data: offsets first, bytes later."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from convert.parameter import Parameter
from targets.base import OutputFile, Placement, WriteJob
from targets.onnx.file_names import DATA_FILE, MODEL_FILE
from targets.onnx.storage import store

_PAGE = 4096
"""Large tensors start on a page, so that a runtime can map them into memory."""

_CACHE_LINE = 64
_LARGE = 1 << 16


@dataclass
class DataFile:
    """Hands out the bytes of the data file, in the order asked for."""

    size: int = 0
    offsets: dict[str, int] = field(default_factory=dict)

    def allocate(
        self, name: str, dtype: ir.DataType, shape: tuple[int, ...], nbytes: int
    ) -> ir.ExternalTensor:
        """Reserve ``nbytes`` for a tensor and describe where they are."""
        alignment = _PAGE if nbytes >= _LARGE else _CACHE_LINE
        offset = -(-self.size // alignment) * alignment
        self.offsets[name] = offset
        self.size = offset + nbytes
        return ir.ExternalTensor(DATA_FILE, offset, nbytes, dtype, shape=ir.Shape(shape), name=name)


def lower(model: ir.Model) -> tuple[tuple[OutputFile, ...], tuple[WriteJob, ...]]:
    """Both files and the jobs that fill the second; ``model`` is left as it is.

    Raises:
        UnsupportedEncodingError: A parameter has an encoding that ONNX cannot decode.
    """
    model = model.clone()
    graph, data = model.graph, DataFile()
    jobs: list[WriteJob] = []
    decoding: list[ir.Node] = []
    for name, value in list(graph.initializers.items()):
        parameter = value.const_value
        if not isinstance(parameter, Parameter):
            continue
        stored = store(parameter, data.allocate)
        del graph.initializers[name]
        value.replace_all_uses_with(stored.value)
        for initializer in stored.initializers:
            graph.register_initializer(initializer)
        decoding += stored.nodes
        places = tuple(
            Placement(DATA_FILE, data.offsets[str(initializer.name)])
            for initializer in stored.initializers
        )
        jobs.append(WriteJob(parameter.weight, stored.encoding, places))
    if decoding:
        graph.insert_before(graph[0], decoding)
    model.producer_name = "tricast"
    proto = ir.to_proto(model).SerializeToString(deterministic=True)
    return (OutputFile.whole(MODEL_FILE, proto), OutputFile(DATA_FILE, data.size)), tuple(jobs)
