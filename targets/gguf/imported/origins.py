"""What a GGUF says of where its tensors come from, so that they can be compared with a checkpoint.

Keys of our own, which llama.cpp does not read: names side by side with those of the checkpoint,
and which of a few orders the rows are in; of a tensor that is several matrices, one behind the
other, what rows each of them is of which matrix of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.sources.gguf_file import GgufFile
from targets.gguf.tensors import StoredTensor

Order = NDArray[np.int64]

STORED, NAMES, ORDERS = "tricast.stored", "tricast.names", "tricast.orders"
_ORDER = "tricast.order.{}"
_PIECES, _WHOLES, _ROWS = "tricast.pieces", "tricast.wholes", "tricast.rows"
_NONE = -1


@dataclass(frozen=True)
class Piece:
    """What the matrices of a tensor are, which lie in it one behind the other.

    Row ``r`` of matrix ``m`` is row ``first + m * stride + r * step`` of its parameter.

    Args:
        stored: Name of the tensor.
        whole: Name of the parameter of each matrix, with braces for the number of the matrix if
            each has its own.
        first: See above.
        step: See above.
        stride: See above.
        turned: Whether the tensor has columns where the parameter has rows.
    """

    stored: str
    whole: str
    first: int = 0
    step: int = 1
    stride: int = 0
    turned: bool = False

    def rows(self, number: int, count: int) -> Order:
        """Of the parameter, where the ``count`` rows of a matrix are."""
        return self.first + number * self.stride + self.step * np.arange(count, dtype=np.int64)


def add_origins(writer: Any, tensors: Sequence[StoredTensor], names: Mapping[str, str]) -> None:
    """Write the keys.

    Args:
        writer: A gguf.GGUFWriter.
        tensors: Of the file.
        names: Of parameters in the graph, by those of tensors; others are computed.
    """
    told = [each for each in tensors if each.name in names]
    kept: dict[bytes, int] = {}
    orders = []
    for each in told:
        order = each.row_order
        key = None if order is None else order.tobytes()
        orders.append(_NONE if key is None else kept.setdefault(key, len(kept)))
    writer.add_array(STORED, [each.name for each in told])
    writer.add_array(NAMES, [names[each.name] for each in told])
    writer.add_array(ORDERS, orders)
    for data, number in kept.items():
        writer.add_array(_ORDER.format(number), np.frombuffer(data, np.int64).tolist())


def add_pieces(writer: Any, pieces: Sequence[Piece]) -> None:
    """Write the keys that `pieces_of` reads, to a gguf.GGUFWriter."""
    if pieces:
        writer.add_array(_PIECES, [each.stored for each in pieces])
        writer.add_array(_WHOLES, [each.whole for each in pieces])
        writer.add_array(_ROWS, [int(number) for each in pieces for number in astuple(each)[2:]])


def pieces_of(file: GgufFile) -> list[Piece]:
    """The pieces that a file tells of."""
    names = zip(file.strings(_PIECES), file.strings(_WHOLES), strict=True)
    numbers = np.array(file.numbers(_ROWS), np.int64).reshape(-1, 4).tolist()
    return [
        Piece(stored, whole, first, step, stride, turned=bool(turned))
        for (stored, whole), (first, step, stride, turned) in zip(names, numbers, strict=True)
    ]


def origins(file: GgufFile) -> dict[str, tuple[str, Order | None]]:
    """Name in the graph and order of rows by the names of tensors; empty for a file of others."""
    if STORED not in file.metadata:
        return {}
    stored, names = file.strings(STORED), file.strings(NAMES)
    numbers = [int(number) for number in file.numbers(ORDERS)]
    orders = {
        number: np.array(file.numbers(_ORDER.format(number)), np.int64)
        for number in {*numbers} - {_NONE}
    }
    told = zip(stored, names, numbers, strict=True)
    return {own: (name, orders.get(number)) for own, name, number in told}
