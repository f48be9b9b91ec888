"""Lists an ONNX model: initializers, inputs, outputs and metadata; external data stays unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.errors import BadHeaderError, MissingFileError
from convert.sources.listing import Listing, TensorInfo


def list_onnx(path: Path) -> Listing:
    """The initializers of ``path``, and what the file says of the graph.

    Raises:
        MissingFileError: There is no such file.
        BadHeaderError: The file is no ONNX model.
    """
    import onnx_ir as ir

    if not path.is_file():
        raise MissingFileError(f"no file {path}", remedy="check the path")
    try:
        model = ir.load(path)
    except Exception as error:
        # The protobuf reader and the deserializer each have exceptions of their own.
        raise BadHeaderError(
            f"{path} is no ONNX model",
            found=f"{type(error).__name__}: {error}"[:160],
            remedy="convert the model again",
        ) from error
    tensors = tuple(
        TensorInfo(str(name), tuple(value.shape.numpy()), _encoding(value), tensor.nbytes)
        for name, value in model.graph.initializers.items()
        if (tensor := value.const_value) is not None and value.shape is not None
    )
    metadata: dict[str, Any] = {
        "opset": dict(model.opset_imports),
        "inputs": {str(value.name): _signature(value) for value in model.graph.inputs},
        "outputs": {str(value.name): _signature(value) for value in model.graph.outputs},
        **model.metadata_props,
    }
    return Listing(tensors, metadata)


def _encoding(value: Any) -> str:
    return str(value.const_value.dtype.short_name())


def _signature(value: Any) -> str:
    axes = "?" if value.shape is None else ", ".join(str(axis) for axis in value.shape)
    return f"{'?' if value.dtype is None else value.dtype.short_name()} [{axes}]"
