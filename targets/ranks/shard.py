"""Which part of a model one rank computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import onnx_ir as ir

from passes.tensor_parallel import BLOCK, RANK, RANKS, TensorParallel


@dataclass(frozen=True)
class Shard:
    """All that the cuts of a model depend on, besides its graph.

    Args:
        ranks: Number of them.
        rank: Which one, from 0.
        block: Inputs of a linear layer that a cut should not separate.
    """

    ranks: int
    rank: int
    block: int

    @classmethod
    def of(cls, model: ir.Model) -> Shard:
        """That of a graph that `TensorParallel` made."""
        ranks, rank, block = (int(model.metadata_props[key]) for key in (RANKS, RANK, BLOCK))
        return cls(ranks, rank, block)

    @classmethod
    def from_json(cls, description: Mapping[str, int]) -> Shard:
        """The reverse of `to_json`."""
        return cls(**description)

    def to_json(self) -> dict[str, int]:
        """A JSON object."""
        return asdict(self)

    @property
    def cut(self) -> TensorParallel:
        """The pass that makes this rank's graph of the whole."""
        return TensorParallel(self.ranks, self.rank, block=self.block)
