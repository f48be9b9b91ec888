"""Lists an OpenVINO IR from its XML: constants, inputs, operators and runtime information.

Format: https://docs.openvino.ai/2024/documentation/openvino-ir-format.html.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from convert.errors import BadHeaderError, MissingFileError, TruncatedFileError
from convert.sources.listing import Listing, TensorInfo

_REMEDY = "convert the model again"


def list_openvino(path: Path) -> Listing:
    """The constants of ``path`` with their element types, and what the XML says of the graph.

    Raises:
        MissingFileError: The XML or the ``.bin`` beside it is not there.
        BadHeaderError: The XML is no OpenVINO IR.
        TruncatedFileError: A constant ends beyond the end of the ``.bin``.
    """
    binary = path.with_suffix(".bin")
    for file in (path, binary):
        if not file.is_file():
            raise MissingFileError(f"no file {file}", remedy=_REMEDY)
    root = _root(path)
    layers = root.findall("./layers/layer")
    tensors = tuple(_constant(path, layer) for layer in layers if layer.get("type") == "Const")
    size = binary.stat().st_size
    for layer, tensor in zip(_constants(layers), tensors, strict=True):
        end = _integer(path, layer, "offset") + tensor.nbytes
        if end > size:
            raise TruncatedFileError(
                f"{binary} ends inside constant {tensor.name!r}",
                expected=f"at least {end} bytes",
                found=f"{size} bytes",
                remedy=_REMEDY,
            )
    metadata: dict[str, Any] = {
        "inputs": [layer.get("name") for layer in layers if layer.get("type") == "Parameter"],
        "outputs": [layer.get("name") for layer in layers if layer.get("type") == "Result"],
        "operators": dict(sorted(Counter(layer.get("type", "?") for layer in layers).items())),
    }
    information = root.find("rt_info")
    if information is not None:
        metadata |= _flatten(information, "")
    return Listing(tensors, metadata)


def _root(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise BadHeaderError(f"{path} is no XML", found=str(error), remedy=_REMEDY) from error
    if root.tag != "net":
        raise BadHeaderError(
            f"{path} is no OpenVINO IR", expected="<net>", found=f"<{root.tag}>", remedy=_REMEDY
        )
    return root


def _constants(layers: list[ElementTree.Element]) -> list[ElementTree.Element]:
    return [layer for layer in layers if layer.get("type") == "Const"]


def _constant(path: Path, layer: ElementTree.Element) -> TensorInfo:
    data = layer.find("data")
    if data is None:
        raise BadHeaderError(f"{path}: constant {layer.get('name')!r} has no data", remedy=_REMEDY)
    axes = [axis.strip() for axis in data.get("shape", "").split(",") if axis.strip()]
    if not all(axis.isdecimal() for axis in axes):
        raise BadHeaderError(
            f"{path}: constant {layer.get('name')!r} has a bad shape",
            found=repr(data.get("shape")),
            remedy=_REMEDY,
        )
    shape = tuple(int(axis) for axis in axes)
    nbytes = _integer(path, layer, "size")
    return TensorInfo(layer.get("name", ""), shape, data.get("element_type", "?"), nbytes)


def _integer(path: Path, layer: ElementTree.Element, key: str) -> int:
    data = layer.find("data")
    text = "" if data is None else data.get(key, "")
    if not text.isdecimal():
        raise BadHeaderError(
            f"{path}: constant {layer.get('name')!r} has a bad {key}",
            expected="a decimal number",
            found=repr(text),
            remedy=_REMEDY,
        )
    return int(text)


def _flatten(element: ElementTree.Element, prefix: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for child in element:
        name = f"{prefix}{child.tag}"
        if child.get("value") is not None:
            values[name] = child.get("value", "")
        values |= _flatten(child, f"{name}.")
    return values
