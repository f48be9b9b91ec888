"""The weights of an artifact of several ranks, put together from their parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import TensorMismatchError
from targets.openvino.parallel.collectives import AllGather, AllReduce
from targets.openvino.parallel.description import Cut, rank_folder, read_description
from targets.openvino.stored import stored_nodes, value_of

Array = NDArray[np.float32]


def stored_ranks(artifact: Path) -> Iterator[tuple[str, Array]]:
    """Name and float32 value of every parameter, whole.

    Raises:
        TensorMismatchError: Ranks that store the same do not store it alike.
    """
    described = read_description(artifact)
    ranks = [
        stored_nodes(artifact / rank_folder(rank), extensions=(AllReduce, AllGather))
        for rank in range(described.ranks)
    ]
    for name in ranks[0]:
        parts = [value_of(nodes[name]) for nodes in ranks]
        cut = described.weights.get(name)
        yield name, put_together(name, parts, cut or _uncut(parts))


def _uncut(parts: Sequence[Array]) -> Cut:
    return Cut(0, tuple(((0, len(part)),) for part in parts))


def put_together(name: str, parts: Sequence[Array], cut: Cut) -> Array:
    """Every rank's part at its place."""
    length = max(last for own in cut.ranges for _, last in own)
    shape = list(parts[0].shape)
    shape[cut.axis] = length
    whole = np.moveaxis(np.empty(shape, np.float32), cut.axis, 0)
    known = np.zeros(length, bool)
    for part, own in zip(parts, cut.ranges, strict=True):
        rows, begin = np.moveaxis(part, cut.axis, 0), 0
        for first, last in own:
            piece, begin = rows[begin : begin + last - first], begin + last - first
            there = known[first:last]
            if not np.array_equal(whole[first:last][there], piece[there]):
                raise TensorMismatchError(f"the ranks store different values of {name}")
            whole[first:last] = piece
            known[first:last] = True
    if not known.all():
        raise TensorMismatchError(f"no rank stores some of {name}")
    return np.moveaxis(whole, 0, cut.axis)
