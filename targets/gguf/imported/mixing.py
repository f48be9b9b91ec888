"""Experts of an imported graph in the keys and tensors of llama.cpp."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from convert.architectures.base import DecoderConfig
from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.parameter import Parameter
from convert.weights import RowRange, RowRanges, Weight
from passes.encodings import encoding
from passes.encodings.base import Encoding
from targets.gguf.imported.expressing import Key, refusal
from targets.gguf.imported.facts import Facts, Mixture
from targets.gguf.imported.routings import Routing
from targets.gguf.imported.runs import Mixing, Runs
from targets.gguf.tensors import StoredTensor

_LAYER = re.compile(r"\.(\d+)\.")
_ROUTER = "blk.{}.ffn_gate_inp.weight"
_CORRECTION = "blk.{}.exp_probs_b.bias"
_SHARED = "blk.{}.ffn_down_shexp.weight"

Stack = tuple[tuple[Weight, Encoding], ...]


def mixing_keys(facts: Facts, config: DecoderConfig, runs: Runs, shared: int | None) -> list[Key]:
    """The keys of experts.

    Args:
        facts: What the graph computes.
        config: Of the model.
        runs: What llama.cpp computes.
        shared: Inner width of the expert that all tokens visit, if there is one.

    Raises:
        UnsupportedConfigError: llama.cpp chooses otherwise.
    """
    found = list(facts.mixtures.values())
    if not found:
        return []
    if runs.mixing is None:
        raise refusal(runs, "a mixture of experts")
    routings = {each.routing for each in found}
    if len(routings) != 1 or len({each.up[0].rows for each in found}) != 1:
        raise refusal(runs, "experts that differ between layers")
    return [
        *_sizes(found[0], shared, runs.mixing),
        *_routing(routings.pop(), runs, runs.mixing),
        *_places(facts, config, runs, runs.mixing),
    ]


def _sizes(mixture: Mixture, shared: int | None, mixing: Mixing) -> Iterator[Key]:
    width = _width(mixture)
    yield "expert_count", mixture.routing.count
    yield "expert_used_count", mixture.routing.used
    yield "expert_feed_forward_length", width
    if mixing.shared_count:
        yield "expert_shared_count", (shared or 0) // width
    elif shared is not None:
        yield "expert_shared_feed_forward_length", shared


def _routing(routing: Routing, runs: Runs, mixing: Mixing) -> Iterator[Key]:
    import gguf

    if mixing.gate is None:
        yield "expert_gating_func", gguf.ExpertGatingFuncType[routing.gate.upper()]
    elif mixing.gate != routing.gate:
        raise refusal(runs, f"experts that are weighed by {routing.gate}")
    if mixing.normalized is None:
        yield "expert_weights_norm", routing.normalized
    elif mixing.normalized != routing.normalized:
        sums = "sum to 1" if routing.normalized else "do not sum to 1"
        raise refusal(runs, f"weights of experts that {sums}")
    if mixing.scaled:
        yield "expert_weights_scale", routing.scale
    elif not math.isclose(routing.scale, 1, rel_tol=1e-6):
        raise refusal(runs, "what weights of experts are multiplied by", routing.scale)


def _places(facts: Facts, config: DecoderConfig, runs: Runs, mixing: Mixing) -> Iterator[Key]:
    numbers = sorted(layer_of(each.down.name) for each in facts.mixtures.values())
    first = config.layers - len(numbers)
    if numbers != list(range(first, config.layers)) or (first and not mixing.dense_first):
        raise refusal(runs, "layers without experts among others", f"experts in {numbers}")
    if mixing.dense_first:
        yield "leading_dense_block_count", first
    if mixing.step:
        yield "interleave_moe_layer_step", 1


def layer_of(name: str) -> int:
    """Number of the layer that a parameter is of."""
    match = _LAYER.search(name)
    if match is None:
        raise UnsupportedConfigError(f"{name} is of no layer")
    return int(match[1])


def router_names(facts: Facts) -> dict[str, str]:
    """Names in the GGUF of the weights that choose among experts, and what is added to choose."""
    found = {}
    for each in facts.mixtures.values():
        layer = layer_of(each.down.name)
        found[each.router.name] = _ROUTER.format(layer)
        if each.correction is not None:
            found[each.correction] = _CORRECTION.format(layer)
    return found


def expert_names(facts: Facts) -> frozenset[str]:
    """Names of all parameters of experts."""
    return frozenset(
        name
        for each in facts.mixtures.values()
        for part in (*each.up, each.down)
        for name in part.experts
    )


def expert_tensors(
    facts: Facts, held: Mapping[str, Parameter], runs: Runs
) -> Iterator[StoredTensor]:
    """A tensor for each matrix that all experts of a layer have.

    Raises:
        UnsupportedConfigError: Experts are made of other matrices than llama.cpp's.
        UnsupportedEncodingError: Experts of a layer are to be stored differently.
    """
    for mixture in facts.mixtures.values():
        scope = f"blk.{layer_of(mixture.down.name)}.ffn"
        act = facts.activations[mixture.down.name]
        if len(mixture.up) != 1 or act.gate is None or act.second_half:
            raise refusal(runs, "experts without a gate, or with one in another place")
        up, width = mixture.up[0], _width(mixture)
        gates, ups, downs = (
            _halves(held, up.experts, 0, width),
            _halves(held, up.experts, width, 2 * width),
            _stack(held, mixture.down.experts),
        )
        for kind, stack in (("gate", gates), ("up", ups), ("down", downs)):
            name = f"{scope}_{kind}_exps.weight"
            if len({chosen.name for _, chosen in stack}) != 1:
                raise UnsupportedEncodingError(
                    f"llama.cpp has the experts of a layer in one tensor, {name}, of one type",
                    found=", ".join(sorted({chosen.name for _, chosen in stack})),
                    remedy="choose a pattern of names that matches all experts of the layer",
                )
            yield StoredTensor(name, *stack[0], stacked=stack)


def _width(mixture: Mixture) -> int:
    return mixture.up[0].rows // 2


def _stack(held: Mapping[str, Parameter], names: tuple[str, ...]) -> Stack:
    parts = [held[name] for name in names]
    return tuple(
        (each.weight, each.encoding or encoding(each.weight.dtype.value)) for each in parts
    )


def _halves(held: Mapping[str, Parameter], names: tuple[str, ...], start: int, stop: int) -> Stack:
    return tuple(
        (RowRanges(f"{weight.name}.{start}", (RowRange(weight, start, stop),)), chosen)
        for weight, chosen in _stack(held, names)
    )


def shared_width(tensors: Mapping[str, tuple[int, ...]], layers: int) -> int | None:
    """Inner width of the expert that all tokens visit, by the shapes of tensors."""
    found = (tensors.get(_SHARED.format(layer)) for layer in range(layers))
    return next((shape[1] for shape in found if shape is not None), None)
