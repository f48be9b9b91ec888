"""Reads the weights of a GGUF back, named and ordered as in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.gguf.families import FAMILIES, interleaved_rows
from targets.gguf.tensors import hugging_face_names


def stored_weights(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and float32 values of every parameter; computed tensors are left out."""
    import gguf

    reader = gguf.GGUFReader(path)
    architecture = str(_value(reader, "general.architecture"))
    names = hugging_face_names(architecture, int(_value(reader, f"{architecture}.block_count")))
    head_dim = int(_value(reader, f"{architecture}.attention.key_length"))
    interleaved = {family.architecture for family in FAMILIES.values() if family.interleaved}
    for tensor in reader.tensors:
        name = names.get(tensor.name)
        if name is None:
            continue
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = values.reshape(tuple(int(size) for size in reversed(tensor.shape)))
        if architecture in interleaved and name.rpartition(".")[0].endswith(("q_proj", "k_proj")):
            order = interleaved_rows(len(values) // head_dim, head_dim)
            values = values[np.argsort(order)]
        yield name, np.ascontiguousarray(values, np.float32)


def _value(reader: Any, key: str) -> Any:
    return reader.get_field(key).contents()
