"""W = [W₀; W₁; …] by outputs, then V = [V₀ ‖ V₁ ‖ …] by inputs: V·f(W·x) = Σᵣ Vᵣ·f(Wᵣ·x).

Megatron-LM (arXiv 1909.08053) cuts a transformer so: attention by heads, the MLP by channels, the
embedding and the head by the vocabulary. Here the cuts follow from the graph: layers whose outputs
only meet index by index until other layers sum over them (`passes.sharding.groups`) are cut by
outputs, those others by inputs, and one AllReduce makes the sum before anything else reads it. So
norms, residuals and what follows them are computed whole and equal on every rank.

Comes after passes that make linear layers (LFA fusion), whose products it then cuts, before the KV
cache, whose heads are then this rank's own, and before quantization, so that no block of weights
with a common scale lies on two ranks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import expert_splits, parameters, remove_dead_nodes
from passes.base import Pass
from passes.cache_form import FORM
from passes.sharding.collectives import declare, is_collective
from passes.sharding.plan import plan
from passes.sharding.rewrite import Rewrite

RANKS, RANK, CUTS = "tensor_parallel.ranks", "tensor_parallel.rank", "tensor_parallel.cuts"
BLOCK = "tensor_parallel.block"
"""Keys of the model's metadata. The cuts are JSON: for each weight that is cut, its axis and the
ranges of it that this rank has."""

_NOTE = "note.tensor_parallel"


class TensorParallel(Pass):
    """Make the graph that one rank of several computes.

    Weights become lazy views of their part. The ranks' graphs have the same nodes in the same
    order, the same inputs, and the same outputs, whole on every rank.

    Args:
        ranks: Number of ranks, at least 2.
        rank: Which of them, from 0.
        block: Inputs of a linear layer that should not be separated: the group size of the
            encoding that will store it.
    """

    name: ClassVar[str] = "tensor_parallel"
    exact: ClassVar[bool] = True

    def __init__(self, ranks: int, rank: int, *, block: int = 64) -> None:
        self.ranks = ranks
        self.rank = rank
        self.block = block

    def requires(self, model: ir.Model) -> None:
        graph = str(model.graph.name)
        if self.ranks < 2 or not 0 <= self.rank < self.ranks:
            raise PassRefusedError(f"there is no rank {self.rank} of {self.ranks}", graph)
        if RANKS in model.metadata_props:
            raise PassRefusedError("the graph is one rank's already", graph)
        for node in expert_splits(model):
            raise PassRefusedError("experts cannot be dealt out to ranks", str(node.name))
        if FORM in model.metadata_props:
            raise PassRefusedError("the graph has a KV cache already, of all heads", graph)
        encoded = [name for name, parameter in parameters(model).items() if parameter.encoding]
        if encoded:
            raise PassRefusedError("weights must be cut before they are quantized", encoded[0])
        if not plan(model, self.ranks, self.block).outputs:
            raise PassRefusedError("no layer can be cut", graph)

    def rewrite(self, model: ir.Model) -> bool:
        made = plan(model, self.ranks, self.block)
        cuts = Rewrite(model, made, self.ranks, self.rank).run()
        remove_dead_nodes(model)
        declare(model)
        model.metadata_props[RANKS] = str(self.ranks)
        model.metadata_props[RANK] = str(self.rank)
        model.metadata_props[BLOCK] = str(self.block)
        model.metadata_props[CUTS] = json.dumps({name: list(cut) for name, cut in cuts.items()})
        for index, note in enumerate((*made.notes, *_whole(model, {*cuts, *made.whole}))):
            model.metadata_props[f"{_NOTE}.{index}"] = note
        return True

    def ensures(self, model: ir.Model) -> None:
        assert any(is_collective(node) for node in model.graph), "the ranks exchange nothing"
        for name, parameter in parameters(model).items():
            shape = model.graph.initializers[name].shape
            assert shape == parameter.shape, f"{name} has shape {shape}, not {parameter.shape}"


def _whole(model: ir.Model, known: set[str]) -> Iterator[str]:
    """A note on the matrices that are neither cut nor explained otherwise."""
    names = [
        name
        for name, parameter in parameters(model).items()
        if len(parameter.weight.shape) > 1 and name not in known
    ]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: stored and computed whole on every rank"
