"""Which weights of a graph are experts', and what a few tokens tell of the inputs of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import expert_splits
from passes.calibration.observers import SecondMoments
from passes.calibration.steps import streamed_weight

PRIOR_TOKENS = 8
"""What is known before a text is read counts as much as so many of its tokens. Of a usual layer's
moments, 64 tokens tell almost all: at as many, it counts for a ninth."""


@dataclass(frozen=True)
class Expert:
    """One MLP of a mixture.

    Args:
        name: Of its module.
        router: Name of a weight that multiplies the same tokens, and all of the layer.
        entering: Names of the weights that multiply the tokens themselves.
        inner: Names of those that multiply what the others make of them.
    """

    name: str
    router: str
    entering: tuple[str, ...]
    inner: tuple[str, ...]


def experts_of(model: ir.Model) -> tuple[Expert, ...]:
    """All experts of a graph, layer by layer."""
    return tuple(expert for node in expert_splits(model) for expert in _experts(node))


class ExpertMoments:
    """Second moments of the inputs of layers, also of those that see few tokens or none.

    The mean square of each channel is shrunk towards what is expected before any token is seen,
    as though that were the mean of `PRIOR_TOKENS` more:

        (Σ x² + PRIOR_TOKENS · expected) / (tokens + PRIOR_TOKENS)

    Expected is, of the tokens that go into an expert, the mean square over all tokens of its layer;
    of what is within an expert, the same of every channel, since experts' channels have nothing to
    do with each other. Weights that are no experts' have the plain mean square.

    Args:
        model: The graph that the observer watches.
    """

    def __init__(self, model: ir.Model) -> None:
        self.experts = experts_of(model)
        self._routers = {name: each.router for each in self.experts for name in each.entering}
        self._inner = {name for each in self.experts for name in each.inner}

    def of(self, weight: str, seen: SecondMoments) -> NDArray[np.float64]:
        """Mean squares ``[features]`` of what goes into a weight that the observer has seen."""
        sums, tokens = seen.sums[weight], seen.tokens[weight]
        if weight in self._routers:
            router = self._routers[weight]
            expected = seen.sums[router] / seen.tokens[router]
        elif weight in self._inner:
            mean = sums.mean() / tokens if tokens else 1.0
            expected = np.full(sums.shape, mean)
        else:
            return sums / tokens
        return (sums + PRIOR_TOKENS * expected) / (tokens + PRIOR_TOKENS)

    def visits(self, seen: SecondMoments) -> Mapping[str, int]:
        """How many tokens each expert has seen, by its name."""
        return {each.name: seen.tokens[each.entering[0]] for each in self.experts}


def _experts(split: ir.Node) -> Iterator[Expert]:
    arriving = split.inputs[0]
    gather = None if arriving is None else arriving.producer()
    tokens = None if gather is None else gather.inputs[0]
    assert tokens is not None, f"{split.name} splits what nobody gathered"
    router = next(_weights(tokens))
    for share in split.outputs:
        entering = tuple(_weights(share))
        name = str(share.name).removesuffix(".tokens")
        yield Expert(name, router, entering, tuple(_inner(share)))


def _weights(value: ir.Value) -> Iterator[str]:
    """Names of the weights that a value is multiplied with."""
    for node in value.consumers():
        weight = streamed_weight(node)
        if weight is not None:
            yield weight.name


def _inner(share: ir.Value) -> Iterator[str]:
    """Names of the weights behind those that multiply a share of the tokens."""
    waiting = [node for node in share.consumers() if streamed_weight(node) is not None]
    known = set(waiting)
    while waiting:
        for reader in waiting.pop(0).outputs[0].consumers():
            if reader in known or reader.op_type == "Concat":
                continue
            known.add(reader)
            waiting.append(reader)
            weight = streamed_weight(reader)
            if weight is not None:
                yield weight.name
