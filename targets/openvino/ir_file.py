"""The IR as files: the graph in XML, and weights at offsets that are known before they are.

The model is saved with placeholders for its weights; in the XML each placeholder then becomes a
constant that points into the ``.bin``, behind the small constants that are already there.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import openvino

from convert.errors import UnsupportedError
from targets.base import OutputFile, Placement, WriteJob
from targets.openvino.lower import Lowered

ALIGNMENT = 64
"""Bytes; the runtime maps the file and reads weights in place, a cache line at a time."""


@dataclass(frozen=True)
class IrFiles:
    """The two files of an IR and what is left to be written into the second."""

    xml: OutputFile
    bin: OutputFile
    jobs: tuple[WriteJob, ...]


def ir_files(lowered: Lowered, stem: str) -> IrFiles:
    """Lay out ``stem``.xml and ``stem``.bin without reading a weight."""
    xml, constants = serialize(lowered.model)
    end = len(constants)
    offsets: dict[str, tuple[int, int]] = {}
    jobs = []
    for weight in lowered.weights:
        starts = []
        for node, plane in weight.placeholders:
            size = plane.nbytes(weight.parameters[0].weight.rows)
            starts.append((_aligned(end), size))
            end = starts[-1][0] + size * len(weight.parameters)
            offsets[node.get_friendly_name()] = (starts[-1][0], end - starts[-1][0])
        for number, parameter in enumerate(weight.parameters):
            places = (Placement(f"{stem}.bin", start + size * number) for start, size in starts)
            jobs.append(WriteJob(parameter.weight, weight.encoding, tuple(places)))
    return IrFiles(
        OutputFile.whole(f"{stem}.xml", _with_constants(xml, offsets)),
        OutputFile(f"{stem}.bin", end, ((0, constants),)),
        tuple(jobs),
    )


def serialize(model: openvino.Model) -> tuple[bytes, bytes]:
    """The XML and the constants of ``model``, as the runtime writes them."""
    with tempfile.TemporaryDirectory() as folder:
        xml, constants = Path(folder, "model.xml"), Path(folder, "model.bin")
        openvino.serialize(model, xml, constants)
        return xml.read_bytes(), constants.read_bytes()


def _with_constants(xml: bytes, offsets: dict[str, tuple[int, int]]) -> bytes:
    """Turn the Parameter layers named in ``offsets`` into constants at (offset, size)."""
    root = ElementTree.fromstring(xml)
    left = dict(offsets)
    for layer in root.iter("layer"):
        if layer.get("type") != "Parameter" or layer.get("name") not in left:
            continue
        offset, size = left.pop(str(layer.get("name")))
        layer.set("type", "Const")
        data = layer.find("data")
        assert data is not None
        data.set("offset", str(offset))
        data.set("size", str(size))
    if left:
        raise UnsupportedError(f"the runtime dropped the weights {sorted(left)} from the graph")
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
