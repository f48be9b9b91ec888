"""Reads the weights of a GGUF back, named and ordered as in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.sources.gguf_file import GgufFile
from convert.sources.gguf_shards import open_gguf
from targets.gguf.families import FAMILIES, interleaved_rows
from targets.gguf.tensors import hugging_face_names


def stored_weights(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and float32 values of every parameter; computed tensors are left out.

    Decoded by the gguf package. Its reader of headers takes seconds for a usual vocabulary.
    """
    file = open_gguf(path)
    architecture = file.value("general.architecture", str) or ""
    names = hugging_face_names(architecture, _number(file, f"{architecture}.block_count"))
    head_dim = _number(file, f"{architecture}.attention.key_length")
    interleaved = {family.architecture for family in FAMILIES.values() if family.interleaved}
    for tensor in file.tensors.values():
        name = names.get(tensor.name)
        if name is None:
            continue
        values = file.read_rows(tensor, 0, tensor.shape[0]).reshape(tensor.shape)
        if architecture in interleaved and name.rpartition(".")[0].endswith(("q_proj", "k_proj")):
            order = interleaved_rows(len(values) // head_dim, head_dim)
            values = values[np.argsort(order)]
        yield name, np.ascontiguousarray(values, np.float32)


def _number(file: GgufFile, key: str) -> int:
    return file.value(key, int) or 0
