"""The bytes of a GGUF before its tensor data, made by the gguf package, one for each shard."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from targets.gguf.tensors import StoredTensor

ALIGNMENT = 32
"""Tensor data starts at multiples of this (gguf's default)."""


def new_writer(architecture: str, split_max_size: int = 0) -> Any:
    """A `gguf.GGUFWriter` that has no file yet.

    Args:
        architecture: Value of ``general.architecture``.
        split_max_size: Bytes of tensors in a shard at most; 0 for a single file.
    """
    from targets.gguf.writer import VocabularyWriter

    return VocabularyWriter(None, architecture, split_max_size=split_max_size)


def add_tensor_infos(writer: Any, tensors: Sequence[StoredTensor]) -> None:
    """Declare the tensors: names, shapes, types. The writer deals them out to its shards."""
    import gguf

    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            np.dtype(np.float32),
            tensor.nbytes,
            raw_dtype=gguf.GGMLQuantizationType[tensor.encoding.name.upper()],
        )
    if len(writer.tensors) == 1:
        # Everything fits into one file, of which the writer would warn.
        writer.split_max_size = 0


def header_bytes(writer: Any) -> bytes:
    """Everything up to the tensor data of a single file, padded to where that begins."""
    (header,) = shard_headers(writer, "model.gguf").values()
    return header


def shard_headers(writer: Any, name: str) -> dict[str, bytes]:
    """By file name, in order: the same of each shard.

    Args:
        writer: With all keys and tensors added.
        name: What the file is called if it is a single one; shards are named after it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        paths = writer.format_shard_names(path)
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        written = {each.name: each.read_bytes() for each in paths}
    return {name: data.ljust(padded(len(data)), b"\0") for name, data in written.items()}


def data_offsets(start: int, tensors: Sequence[StoredTensor]) -> list[int]:
    """Offset of each tensor's data in the file, then the size of the file."""
    offsets = [start]
    for tensor in tensors:
        offsets.append(offsets[-1] + padded(tensor.nbytes))
    return offsets


def padded(size: int) -> int:
    """``size`` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT
