"""Reads the weights of a GGUF back, named and ordered as in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.gguf_names import VECTOR_OF_ONE_ROW, expert_pattern, hugging_face_name
from convert.gguf_rows import row_order
from convert.sources.gguf_file import GgufFile, GgufTensor
from convert.sources.gguf_shards import open_gguf
from targets.gguf.imported.origins import Piece, origins, pieces_of


def stored_weights(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and float32 values of every parameter; computed tensors are left out.

    Decoded by the gguf package. Its reader of headers takes seconds for a usual vocabulary.
    """
    file = open_gguf(path)
    architecture = file.value("general.architecture", str) or ""
    head_dim = file.value(f"{architecture}.attention.key_length", int) or 0
    told = origins(file)
    for tensor in file.tensors.values():
        if told:
            if tensor.name in told:
                yield _as_told(file, tensor, *told[tensor.name])
            continue
        pattern = expert_pattern(architecture, tensor.name)
        if pattern is not None:
            for number in range(tensor.shape[0]):
                expert = file.read_rows(tensor, number, number + 1).reshape(tensor.shape[1:])
                yield pattern.format(number), np.ascontiguousarray(expert, np.float32)
            continue
        name = hugging_face_name(architecture, tensor.name)
        if name is None:
            continue
        values = file.read_rows(tensor, 0, tensor.shape[0]).reshape(tensor.shape)
        order = row_order(architecture, name, len(values), head_dim)
        if order is not None:
            values = values[np.argsort(order)]
        if name.endswith(VECTOR_OF_ONE_ROW):
            values = values[None]
        yield name, np.ascontiguousarray(values, np.float32)
    yield from _put_together(file, pieces_of(file))


def _put_together(
    file: GgufFile, pieces: Sequence[Piece]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The parameters whose rows are in several matrices, one at a time."""
    by_whole: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_whole.setdefault(piece.whole, []).append(piece)
    for whole, parts in by_whole.items():
        count = file.tensors[parts[0].stored].shape[0]
        if "{}" in whole:
            for number in range(count):
                yield whole.format(number), _rows_of(file, parts, range(number, number + 1))
        else:
            yield whole, _rows_of(file, parts, range(count))


def _rows_of(file: GgufFile, parts: Sequence[Piece], numbers: range) -> NDArray[np.float32]:
    """The rows that matrices of these numbers have, each at its place."""
    found, places = [], []
    for part in parts:
        tensor = file.tensors[part.stored]
        for number in numbers:
            matrix = file.read_rows(tensor, number, number + 1).reshape(tensor.shape[1:])
            found.append(matrix.T if part.turned else matrix)
            places.append(part.rows(number, len(found[-1])))
    return np.ascontiguousarray(np.concatenate(found)[np.argsort(np.concatenate(places))])


def _as_told(
    file: GgufFile, tensor: GgufTensor, name: str, order: NDArray[np.int64] | None
) -> tuple[str, NDArray[np.float32]]:
    """A tensor of which the file says where it comes from."""
    values = file.read_rows(tensor, 0, tensor.shape[0]).reshape(tensor.shape)
    if order is not None:
        values = values[np.argsort(order)]
    return name, np.ascontiguousarray(values, np.float32)
