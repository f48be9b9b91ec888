"""Reads a checkpoint for Gaudi back as float32: FP8 codes are decoded by torch, not by us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.ranks.description import read_description
from targets.ranks.folders import rank_folder
from targets.ranks.parts import put_together
from targets.shards import Shards

Floats = NDArray[np.float32]

SCALES = ("weight_scale", "input_scale", "k_scale", "v_scale")
"""Last parts of the names of what is no parameter of the model."""


def stored_weights(artifact: Path) -> Iterator[tuple[str, Floats]]:
    """Every parameter of the checkpoint in ``artifact``, a tensor at a time.

    A tensor ``M.weight`` beside which there is ``M.weight_scale`` is multiplied by it.

    Yields:
        Name and values, shaped as in the checkpoint.
    """
    with ExitStack() as opened:
        shards = Shards(artifact, opened)
        for name in _parameters(shards):
            yield name, shards.decoded(name)


def stored_ranks(artifact: Path) -> Iterator[tuple[str, Floats]]:
    """Every parameter of an artifact of several ranks, put together from their parts.

    Yields:
        Name and values, shaped as in the checkpoint.

    Raises:
        TensorMismatchError: Ranks that store the same do not store it alike.
    """
    described = read_description(artifact)
    with ExitStack() as opened:
        ranks = [Shards(artifact / rank_folder(rank), opened) for rank in range(described.ranks)]
        for name in _parameters(ranks[0]):
            parts = [rank.decoded(name) for rank in ranks]
            yield name, put_together(name, parts, described.weights.get(name))


def _parameters(shards: Shards) -> tuple[str, ...]:
    return tuple(name for name in shards.names if name.rpartition(".")[2] not in SCALES)
