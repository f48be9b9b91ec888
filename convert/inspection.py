"""Lists a checkpoint or an artifact: tensors, shapes, encodings, bytes, metadata; no weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convert.errors import MissingFileError, UnavailableSourceError
from convert.sources import safetensors_files, torch_files
from convert.sources.gguf_shards import open_gguf
from convert.sources.listing import Listing, TensorInfo, abridged
from convert.sources.onnx_files import list_onnx
from convert.sources.openvino_files import list_openvino
from convert.sources.shards import read_json_object

_FEW_BYTES = 64
_LONGEST_VALUE = 100


@dataclass(frozen=True)
class Inspection:
    """What a file or folder holds.

    Args:
        name: Name of the file or folder.
        kind: ``gguf``, ``openvino``, ``onnx``, ``safetensors`` or ``pytorch``.
        tensors: In the order of the files.
        metadata: Of the files; config.json for a folder that has one.
    """

    name: str
    kind: str
    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, Any]

    def encodings(self) -> dict[str, tuple[int, int, int]]:
        """Tensors, elements and bytes of each encoding, the largest first."""
        sums: dict[str, tuple[int, int, int]] = {}
        for tensor in self.tensors:
            count, elements, nbytes = sums.get(tensor.encoding, (0, 0, 0))
            more = (count + 1, elements + tensor.elements, nbytes + tensor.nbytes)
            sums[tensor.encoding] = more
        return dict(sorted(sums.items(), key=lambda item: (-item[1][2], item[0])))

    def as_json(self) -> str:
        """Everything, as one JSON object."""
        return json.dumps(self._summary(), indent=2, ensure_ascii=False)

    def _summary(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "bytes": sum(tensor.nbytes for tensor in self.tensors),
            "elements": sum(tensor.elements for tensor in self.tensors),
            "encodings": {
                name: {"tensors": count, "elements": elements, "bytes": nbytes}
                for name, (count, elements, nbytes) in self.encodings().items()
            },
            "metadata": {key: abridged(value) for key, value in self.metadata.items()},
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.shape),
                    "encoding": tensor.encoding,
                    "bytes": tensor.nbytes,
                }
                for tensor in self.tensors
            ],
        }

    def as_text(self) -> str:
        """A summary and a table, for a terminal; constants of a few bytes are only counted."""
        total = sum(tensor.nbytes for tensor in self.tensors)
        shown = [tensor for tensor in self.tensors if tensor.nbytes >= _FEW_BYTES]
        lines = [f"{self.name}: {self.kind}, {len(self.tensors)} tensors, {total:,} bytes", ""]
        lines += [f"{key}: {_short(value)}" for key, value in self.metadata.items()]
        lines += ["", *_table([_row(tensor) for tensor in shown])]
        if len(shown) < len(self.tensors):
            lines += [f"and {len(self.tensors) - len(shown)} of less than {_FEW_BYTES} bytes"]
        sums = [
            (name, f"{count} tensors", f"{elements:,} elements", f"{nbytes:,} bytes")
            for name, (count, elements, nbytes) in self.encodings().items()
        ]
        return "\n".join([*lines, "", *_table(sums)])


def inspect(path: Path) -> Inspection:
    """List a GGUF, OpenVINO IR, ONNX or safetensors file, or a folder that holds one.

    Raises:
        UnavailableSourceError: There is nothing at ``path``, or nothing that is known.
        BrokenInputError: A file is missing, damaged or contradicts itself.
    """
    if path.is_dir():
        kind, listing = _list_folder(path)
    elif path.is_file():
        kind, listing = _list_file(path)
    else:
        raise UnavailableSourceError(
            f"nothing at {path}",
            expected="a file or a folder of this machine",
            remedy="check the path; what is in object storage must be copied here first",
        )
    return Inspection(path.resolve().name, kind, listing.tensors, listing.metadata)


def _list_file(path: Path) -> tuple[str, Listing]:
    if path.suffix == ".gguf":
        return "gguf", _list_gguf(path)
    if path.suffix == ".xml":
        return "openvino", list_openvino(path)
    if path.suffix == ".onnx":
        return "onnx", list_onnx(path)
    if path.suffix == ".safetensors":
        return "safetensors", _list_safetensors([path])
    raise UnavailableSourceError(
        f"{path} is of no known kind",
        expected="a .gguf, .xml, .onnx or .safetensors file, or a folder that holds one",
        remedy="name the folder",
    )


def _list_folder(folder: Path) -> tuple[str, Listing]:
    ranks = sorted(
        (path for path in folder.glob("rank-*") if path.is_dir()),
        key=lambda path: (len(str(path)), path),
    )
    if ranks:
        return _list_ranks(ranks)
    for pattern in ("*.gguf", "openvino_model.xml", "*.xml", "*.onnx"):
        found = sorted(folder.glob(pattern))
        if found:
            kind, listing = _list_file(found[0])
            return kind, listing
    config = read_json_object(folder / "config.json") if (folder / "config.json").exists() else {}
    files = safetensors_files.find_files(folder)
    if files is not None:
        listing = _list_safetensors([folder / name for name in files])
        return "safetensors", Listing(listing.tensors, config)
    files = torch_files.find_files(folder)
    if files is None:
        raise MissingFileError(
            f"{folder} holds no model that is known",
            expected="GGUF, OpenVINO IR, ONNX, safetensors or pytorch_model.bin",
            remedy="name the folder that holds the files",
        )
    weights = torch_files.open_weights(folder, files, skip=lambda name: False)
    tensors = tuple(
        TensorInfo(weight.name, weight.shape, weight.dtype.value, weight.nbytes)
        for weight in weights.values()
    )
    return "pytorch", Listing(tensors, config)


def _list_ranks(folders: list[Path]) -> tuple[str, Listing]:
    """Every rank's tensors; of what the files say of themselves, the first's."""
    found = [_list_folder(folder) for folder in folders]
    tensors = tuple(
        replace(tensor, name=f"{folder.name}/{tensor.name}")
        for folder, (_, listing) in zip(folders, found, strict=True)
        for tensor in listing.tensors
    )
    kind, first = found[0]
    return kind, Listing(tensors, {"ranks": len(folders), **first.metadata})


def _list_gguf(path: Path) -> Listing:
    gguf = open_gguf(path)
    tensors = tuple(
        TensorInfo(tensor.name, tensor.shape, tensor.type.lower(), tensor.nbytes)
        for tensor in gguf.tensors.values()
    )
    return Listing(tensors, gguf.metadata)


def _list_safetensors(paths: list[Path]) -> Listing:
    headers = [safetensors_files.read_header(path) for path in paths]
    tensors = tuple(
        TensorInfo(tensor.name, tensor.shape, tensor.dtype.lower(), tensor.nbytes)
        for header in headers
        for tensor in header.tensors.values()
    )
    return Listing(tensors, headers[0].metadata if headers else {})


def _row(tensor: TensorInfo) -> tuple[str, str, str, str]:
    shape = " x ".join(str(axis) for axis in tensor.shape) or "scalar"
    return (tensor.name, shape, tensor.encoding, f"{tensor.nbytes:,}")


def _short(value: Any) -> str:
    text = str(abridged(value)).replace("\n", "\\n")
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
