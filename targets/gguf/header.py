"""The bytes of a GGUF before its tensor data, made by the gguf package; offsets of the data."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from targets.gguf.tensors import StoredTensor

ALIGNMENT = 32
"""Tensor data starts at multiples of this (gguf's default)."""


def new_writer(architecture: str) -> Any:
    """A gguf.GGUFWriter that has no file yet."""
    import gguf

    return gguf.GGUFWriter(None, architecture)


def add_tensor_infos(writer: Any, tensors: Sequence[StoredTensor]) -> None:
    """Declare the tensors: names, shapes, types."""
    import gguf

    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name,
            tensor.weight.shape,
            np.dtype(np.float32),
            tensor.nbytes,
            raw_dtype=gguf.GGMLQuantizationType[tensor.encoding.name.upper()],
        )


def header_bytes(writer: Any) -> bytes:
    """Everything up to the tensor data, padded to where that begins."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "header.gguf"
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        written = path.read_bytes()
    return written.ljust(padded(len(written)), b"\0")


def data_offsets(start: int, tensors: Sequence[StoredTensor]) -> list[int]:
    """Offset of each tensor's data in the file, then the size of the file."""
    offsets = [start]
    for tensor in tensors:
        offsets.append(offsets[-1] + padded(tensor.nbytes))
    return offsets


def padded(size: int) -> int:
    """``size`` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT
