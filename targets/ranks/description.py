"""tensor_parallel.json: how many ranks an artifact has, and what each holds of every weight."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from convert.errors import BadHeaderError
from convert.graph import parameters
from convert.parameter import Parameter
from passes.encodings import encoding
from passes.tensor_parallel import BLOCK, CUTS
from targets.ranks.folders import DESCRIPTION
from targets.ranks.shard import Shard


@dataclass(frozen=True)
class Cut:
    """How one weight is cut.

    Args:
        axis: The axis that is cut.
        ranges: For each rank, the ranges of it that the rank has, in its order.
    """

    axis: int
    ranges: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True)
class Description:
    """The ranks of an artifact.

    Args:
        ranks: Number of them.
        weight_bytes: Bytes of weights that each rank stores.
        bytes_stored_again: Of these, bytes that an earlier rank stores as well.
        weights: The weights that are cut, by name; all others are whole on every rank.
        block: Inputs of a linear layer that a cut should not separate.
    """

    ranks: int
    weight_bytes: tuple[int, ...]
    bytes_stored_again: int
    weights: dict[str, Cut]
    block: int

    def to_json(self) -> bytes:
        """As a file, the same bytes for the same description."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    def shard(self, rank: int) -> Shard:
        """Which part of the model a rank computes."""
        return Shard(self.ranks, rank, self.block)

    def balance(self) -> str:
        """How the weights are spread, in bytes."""
        low, high = min(self.weight_bytes), max(self.weight_bytes)
        share = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        return (
            f"{self.ranks} ranks store {share} bytes of weights each;"
            f" {self.bytes_stored_again:,} bytes of all that are copies (norms and biases, and"
            " what could not be cut)"
        )


def describe(models: Sequence[ir.Model]) -> Description:
    """Describe quantized graphs, one for each rank."""
    shards = [parameters(model) for model in models]
    cuts = [json.loads(model.metadata_props[CUTS]) for model in models]
    weights = {
        name: Cut(axis, tuple(_ranges(cut[name][1]) for cut in cuts))
        for name, (axis, _) in cuts[0].items()
    }
    sizes = [{name: _nbytes(item) for name, item in shard.items()} for shard in shards]
    again = 0
    for rank, own in enumerate(sizes[1:], start=1):
        for name, size in own.items():
            cut = weights.get(name)
            if cut is None or cut.ranges[rank] in cut.ranges[:rank]:
                again += size
    stored = tuple(sum(own.values()) for own in sizes)
    block = int(models[0].metadata_props[BLOCK])
    return Description(len(models), stored, again, weights, block)


def read_description(artifact: Path) -> Description:
    """Read the description of a finished artifact.

    Raises:
        BadHeaderError: It is damaged.
    """
    path = artifact / DESCRIPTION
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        weights = {
            name: Cut(int(cut["axis"]), tuple(_ranges(own) for own in cut["ranges"]))
            for name, cut in content["weights"].items()
        }
        return Description(
            int(content["ranks"]),
            tuple(content["weight_bytes"]),
            int(content["bytes_stored_again"]),
            weights,
            # Files of earlier versions lack it; the ranks they describe have no use for it.
            int(content.get("block", 1)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadHeaderError(f"{path} is damaged", found=str(error)) from error


def _ranges(given: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(first), int(last)) for first, last in given)


def _nbytes(parameter: Parameter) -> int:
    weight = parameter.weight
    stored = parameter.encoding or encoding(weight.dtype.value)
    return stored.nbytes(weight.rows, weight.columns)
