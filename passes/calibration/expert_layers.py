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

_SAME_ROWS = ("Cast", "Identity", "Reshape")
"""Operators that leave rows what they are, for reading a router's inputs."""

PRIOR_TOKENS = 8
"""What is known before a text is read counts as much as so many of its tokens. Of a usual layer's
moments, 64 tokens tell almost all: at as many, it counts for a ninth."""


@dataclass(frozen=True)
class Expert:
    """One MLP of a mixture.

    Args:
        name: Of its module.
        router: Name of a weight that multiplies the same tokens, and all of the layer; None if
            none does.
        entering: Names of the weights that multiply the tokens themselves.
        inner: Names of those that multiply what the others make of them.
    """

    name: str
    router: str | None
    entering: tuple[str, ...]
    inner: tuple[str, ...]


def experts_of(model: ir.Model) -> tuple[Expert, ...]:
    """All experts of a graph, layer by layer."""
    layers: dict[ir.Value | None, list[ir.Node]] = {}
    for node in expert_splits(model):
        # The same sizes deal out the tokens, and what the first matrices make of them.
        layers.setdefault(node.inputs[1], []).append(node)
    return tuple(expert for splits in layers.values() for expert in _experts(splits))


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
        router = self._routers.get(weight)
        if router is not None:
            expected = seen.sums[router] / seen.tokens[router]
        elif weight in self._inner or weight in self._routers:
            mean = sums.mean() / tokens if tokens else 1.0
            expected = np.full(sums.shape, mean)
        else:
            return sums / tokens
        return (sums + PRIOR_TOKENS * expected) / (tokens + PRIOR_TOKENS)

    def visits(self, seen: SecondMoments) -> Mapping[str, int]:
        """How many tokens each expert has seen, by its name."""
        return {each.name: seen.tokens[each.entering[0]] for each in self.experts}


def _experts(splits: list[ir.Node]) -> Iterator[Expert]:
    first, *others = splits
    router = _router(first)
    for place, share in enumerate(first.outputs):
        entering = tuple(_weights(share))
        name = str(share.name).removesuffix(".tokens")
        inner = [*_inner(share)]
        for split in others:
            inner += _weights(split.outputs[place])
        yield Expert(_module(name, entering), router, entering, tuple(inner))


def _router(split: ir.Node) -> str | None:
    arriving = split.inputs[0]
    gather = None if arriving is None else arriving.producer()
    value = None if gather is None or gather.op_type != "Gather" else gather.inputs[0]
    while value is not None:
        found = next(_weights(value), None)
        producer = value.producer()
        if found is not None or producer is None or producer.op_type not in _SAME_ROWS:
            return found
        value = producer.inputs[0]
    return None


def _module(name: str, entering: tuple[str, ...]) -> str:
    """An expert's module: what its shares are called after, or that with the number."""
    weight = next(iter(entering), f"{name}.weight").removesuffix(".weight")
    return name.rpartition(".")[0] if weight == name else name


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
