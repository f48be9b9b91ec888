"""How an imported graph mixes experts, in the keys of llama.cpp."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from convert.architectures.base import DecoderConfig
from targets.gguf.imported.experts import layer_of, width_of
from targets.gguf.imported.expressing import Key, refusal
from targets.gguf.imported.facts import Facts, Mixture
from targets.gguf.imported.routings import Routing
from targets.gguf.imported.runs import Mixing, Runs

_SHARED = "blk.{}.ffn_down_shexp.weight"


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
        return list(_none(config, runs))
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


def _none(config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    """What is said of experts where there are none."""
    if runs.mixing is not None and runs.mixing.always:
        yield "leading_dense_block_count", config.layers
        yield "expert_feed_forward_length", config.ffn
        yield "expert_shared_count", 0


def _sizes(mixture: Mixture, shared: int | None, mixing: Mixing) -> Iterator[Key]:
    width = width_of(mixture)
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
    if routing.groups > 1:
        yield "expert_group_count", routing.groups
        yield "expert_group_used_count", routing.groups_used
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


def shared_width(tensors: Mapping[str, tuple[int, ...]], layers: int) -> int | None:
    """Inner width of the expert that all tokens visit, by the shapes of tensors."""
    found = (tensors.get(_SHARED.format(layer)) for layer in range(layers))
    return next((shape[1] for shape in found if shape is not None), None)
