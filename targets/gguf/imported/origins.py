"""What a GGUF says of where its tensors come from, so that they can be compared with a checkpoint.

Keys of our own, which llama.cpp does not read: names side by side with those of the checkpoint,
and which of a few orders the rows are in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.sources.gguf_file import GgufFile
from targets.gguf.tensors import StoredTensor

Order = NDArray[np.int64]

STORED, NAMES, ORDERS = "tricast.stored", "tricast.names", "tricast.orders"
_ORDER = "tricast.order.{}"
_NONE = -1


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
