"""Orders of rows that llama.cpp wants otherwise than a checkpoint has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

_PARTS = 3


def interleaved_rows(rows: int, head_dim: int) -> NDArray[np.int64]:
    """The two rows of each rotated pair together.

    Within a head, source row ``half * head_dim / 2 + i`` becomes row ``2 * i + half``.
    """
    heads = np.arange(rows, dtype=np.int64).reshape(-1, 2, head_dim // 2)
    order: NDArray[np.int64] = heads.swapaxes(1, 2).reshape(-1)
    return order


def rows_by_part(rows: int, head_dim: int) -> NDArray[np.int64]:
    """All queries, then all keys, then all values, where each head has its three together."""
    heads = np.arange(rows, dtype=np.int64).reshape(-1, _PARTS, head_dim)
    order: NDArray[np.int64] = heads.swapaxes(0, 1).reshape(-1)
    return order


_ORDERS: Mapping[tuple[str, str], Callable[[int, int], NDArray[np.int64]]] = {
    ("bloom", "query_key_value"): rows_by_part,
    ("llama", "q_proj"): interleaved_rows,
    ("llama", "k_proj"): interleaved_rows,
}


def row_order(architecture: str, name: str, rows: int, head_dim: int) -> NDArray[np.int64] | None:
    """Order ``[rows]`` in which a GGUF stores the rows of a parameter; None for its own.

    Row ``i`` of the GGUF is row ``order[i]`` of the checkpoint.

    Args:
        architecture: Value of ``general.architecture``.
        name: Of the parameter, in the checkpoint.
        rows: Of a matrix, or elements of a bias.
        head_dim: Rows of each head's query, key or value.
    """
    module = name.rpartition(".")[0].rpartition(".")[2]
    order = _ORDERS.get((architecture, module))
    return None if order is None else order(rows, head_dim)
