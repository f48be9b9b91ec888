"""How a router chooses experts and weighs them, found by letting it choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.importing.raising.patterns import rank_of, size_of
from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.linears import Linear, is_weight, sources
from targets.gguf.imported.scalars import summed

Floats = NDArray[np.float64]
_CLOSE = 1e-5


def _softmax(x: Floats) -> Floats:
    return np.asarray(np.exp(x) / np.exp(x).sum())


GATES: Mapping[str, Callable[[Floats], Floats]] = {
    "softmax": _softmax,
    "sigmoid": lambda x: np.asarray(1 / (1 + np.exp(-x))),
}


@dataclass(frozen=True)
class Routing:
    """How a layer's experts are chosen.

    Args:
        count: How many there are.
        used: How many a token visits.
        gate: One of `GATES`: what makes weights of the router's output.
        normalized: Whether the weights of the chosen are made to sum to 1.
        scale: What they are multiplied by then.
        groups: How many groups of neighbours they are in, of which some are chosen first: those
            whose best two sum to most.
        groups_used: How many.
    """

    count: int
    used: int
    gate: str
    normalized: bool
    scale: float
    groups: int = 1
    groups_used: int = 1


def router_of(experts: Linear, by_output: Mapping[ir.Value, Linear]) -> Linear:
    """The layer that chooses among experts.

    Raises:
        NotComputableError: Several do, or none.
    """
    assert experts.router is not None
    found = sources(experts.router, by_output)
    if len(found) != 1:
        raise NotComputableError(f"experts that {', '.join(sorted(found)) or 'nothing'} chooses")
    return next(iter(found.values()))


def routing(down: Linear, router: Linear) -> Routing:
    """How a layer chooses.

    Args:
        down: The last layer of its experts.
        router: The layer that chooses.

    Raises:
        NotComputableError: It does so in a way that is not known.
    """
    total = summed(down)
    count, used = len(down.experts), size_of(total.inputs[0], 1)
    width = size_of(down.y, -1)
    if used is None or width is None or width < used or router.rows != count:
        raise NotComputableError(f"{total.name} of {used} experts out of {router.rows}")
    rounds = [(x, _weights(x, total, down, router, used)) for x in _router_outputs(count)]
    for gate, function in GATES.items():
        given = [(function(x), found) for x, found in rounds]
        for groups, groups_used in _groupings(count, used):
            chosen = [_chosen(x, used, groups, groups_used) for x, _ in given]
            for normalized in (False, True):
                scale = _scale(chosen, [found for _, found in given], normalized=normalized)
                if scale is not None:
                    return Routing(count, used, gate, normalized, scale, groups, groups_used)
    raise NotComputableError(f"{router.name} that chooses in a way that is not known")


def _router_outputs(count: int) -> list[Floats]:
    """Numbers in several orders, none twice."""
    rng = np.random.default_rng(0)
    spread = np.linspace(-1, 1, count)
    return [size * rng.permutation(spread) for size in (1, 2, 1, 1.5, 1, 2, 1.5, 1)]


def _groupings(count: int, used: int) -> Iterator[tuple[int, int]]:
    """Numbers of groups, and of those that are chosen, that are possible."""
    yield 1, 1
    for groups in range(2, count // 2 + 1):
        if count % groups == 0:
            least = -(-used * groups // count)
            yield from ((groups, kept) for kept in range(least, groups))


def _chosen(x: Floats, used: int, groups: int, groups_used: int) -> Floats:
    """Weights of the chosen, in the order of experts."""
    best = np.sort(x.reshape(groups, -1), axis=1)[:, -2:].sum(axis=1)
    kept = np.isin(np.arange(groups), np.argsort(best)[-groups_used:])
    left = np.where(np.repeat(kept, len(x) // groups), x, -np.inf)
    return x[np.sort(np.argsort(left)[-used:])]


def _scale(chosen: list[Floats], found: list[Floats], *, normalized: bool) -> float | None:
    """What weights are multiplied by to give those that were found; None if it is no number."""
    wanted = [each / each.sum() if normalized else each for each in chosen]
    scale = found[0][0] / wanted[0][0]
    fits = [
        np.allclose(given, each * scale, rtol=_CLOSE, atol=0)
        for each, given in zip(wanted, found, strict=True)
    ]
    if not all(fits):
        return None
    return 1.0 if abs(scale - 1) < _CLOSE else float(f"{scale:.6g}")


def _weights(x: Floats, total: ir.Node, down: Linear, router: Linear, used: int) -> Floats:
    """What the chosen count, in the order of experts."""
    shape = [1] * (rank_of(router.y) - 1)
    width = size_of(down.y, -1) or used
    given = {
        router.y: x.astype(np.float32).reshape(*shape, -1),
        down.y: np.eye(used, width, dtype=np.float32),
    }
    found = evaluated(total.outputs[0], given, zeros=True).reshape(-1)
    return found[:used].astype(np.float64)


def correction(down: Linear, router: Linear) -> str | None:
    """Name of what a layer adds to choose experts, but not to weigh them.

    Raises:
        NotComputableError: There are several weights on the way.
    """
    assert down.router is not None
    waiting, seen, found = [down.router], {down.router, router.y}, []
    while waiting:
        each = waiting.pop()
        node = each.producer()
        if is_weight(each):
            found.append(str(each.name))
        new = [one for one in (node.inputs if node else ()) if one is not None and one not in seen]
        seen.update(new)
        waiting += new
    if len(found) > 1:
        raise NotComputableError(f"{router.name} that chooses by {', '.join(found)}")
    return found[0] if found else None
