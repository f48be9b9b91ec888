"""Reads the weights of a GGUF back, named and ordered as in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.gguf_names import hugging_face_name
from convert.gguf_rows import row_order
from convert.sources.gguf_shards import open_gguf


def stored_weights(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and float32 values of every parameter; computed tensors are left out.

    Decoded by the gguf package. Its reader of headers takes seconds for a usual vocabulary.
    """
    file = open_gguf(path)
    architecture = file.value("general.architecture", str) or ""
    head_dim = file.value(f"{architecture}.attention.key_length", int) or 0
    for tensor in file.tensors.values():
        name = hugging_face_name(architecture, tensor.name)
        if name is None:
            continue
        values = file.read_rows(tensor, 0, tensor.shape[0]).reshape(tensor.shape)
        order = row_order(architecture, name, len(values), head_dim)
        if order is not None:
            values = values[np.argsort(order)]
        yield name, np.ascontiguousarray(values, np.float32)
