"""Builds safetensors files byte by byte, right or wrong, without the library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def safetensors_bytes(header: Any, data: bytes, length: int | None = None) -> bytes:
    """A file with this header (an object or raw bytes), data and, if given, a false length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_checkpoint(
    folder: Path, config: Mapping[str, Any], shards: Mapping[str, Mapping[str, list[int]]]
) -> Path:
    """A folder with config.json and zero-filled float32 shards with an index: name -> shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weight_map = {name: file for file, shapes in shards.items() for name in shapes}
    for file, shapes in shards.items():
        header, offset = {}, 0
        for name, shape in shapes.items():
            size = 4
            for axis in shape:
                size *= axis
            header[name] = entry(shape, offset, offset + size)
            offset += size
        (folder / file).write_bytes(safetensors_bytes(header, bytes(offset)))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
