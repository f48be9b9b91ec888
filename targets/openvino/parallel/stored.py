"""The weights of an artifact of several ranks, put together from their parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.openvino.parallel.collectives import AllGather, AllReduce
from targets.openvino.stored import stored_nodes, value_of
from targets.ranks.description import read_description
from targets.ranks.folders import rank_folder
from targets.ranks.parts import put_together

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
        yield name, put_together(name, parts, described.weights.get(name))
