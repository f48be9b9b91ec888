"""What an imported graph computes, as far as architectures of llama.cpp differ in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.errors import UnsupportedConfigError
from convert.graph import attention_nodes
from targets.gguf.imported.activations import Activation, activation
from targets.gguf.imported.attending import Attention, Reading, attention_of, layer_behind
from targets.gguf.imported.evaluating import NotComputableError
from targets.gguf.imported.heads import NORMS
from targets.gguf.imported.linears import Linear, linears, sources
from targets.gguf.imported.rotations import Stated
from targets.gguf.imported.routings import Routing, correction, router_of, routing
from targets.gguf.imported.scalars import Head, added_scale, embedding_scale, head_of


@dataclass(frozen=True, eq=False)
class Mixture:
    """A layer's experts.

    Args:
        router: The layer that chooses among them.
        routing: How it does.
        up: Their first layers: gate and up projections in one, or each.
        down: Their last layer.
        correction: Name of what is added to choose, not to weigh; None if nothing is.
    """

    router: Linear
    routing: Routing
    up: tuple[Linear, ...]
    down: Linear
    correction: str | None = None


@dataclass(frozen=True, eq=False)
class Facts:
    """What a graph computes.

    Args:
        attentions: One for each layer.
        activations: Of each MLP, by the name of the weight of its last layer.
        norms: How many norms there are of each kind and epsilon.
        parallel: Whether attention and MLP of a layer read the same.
        embedding_scale: What embeddings are multiplied by.
        residual_scales: What the outputs of attention and MLP are multiplied by.
        head: What happens to the logits.
        mixtures: What chooses among experts, by the name of the first weight of their last layer.
    """

    attentions: tuple[Attention, ...]
    activations: Mapping[str, Activation]
    norms: Mapping[tuple[str, float], int]
    parallel: frozenset[bool]
    embedding_scale: float
    residual_scales: frozenset[float]
    head: Head
    mixtures: Mapping[str, Mixture] = field(default_factory=dict)


def facts_of(model: ir.Model, config: DecoderConfig, said: Stated | None = None) -> Facts:
    """The facts of a graph.

    Args:
        model: The graph.
        config: Of it.
        said: What config.json says of rotations.

    Raises:
        UnsupportedConfigError: It computes something that has no place here.
    """
    try:
        return _facts(model, config, said)
    except NotComputableError as error:
        raise UnsupportedConfigError(
            "the graph computes what no architecture of llama.cpp is known to compute",
            found=str(error),
            remedy="choose another target for this model",
        ) from error


def _facts(model: ir.Model, config: DecoderConfig, said: Stated | None) -> Facts:
    layers = linears(model)
    by_output = {each.y: each for each in layers}
    nodes = attention_nodes(model)
    behind = [layer_behind(node, layers) for node in nodes]
    attentions = tuple(
        attention_of(node, window, output, Reading(by_output, said, config.max_positions))
        for node, window, output in zip(nodes, config.windows, behind, strict=True)
    )
    own = {each.name for attention in attentions for each in attention.layers}
    outputs = {each.name for each in behind}
    head = layers[-1]
    routers = {each.name: router_of(each, by_output) for each in layers if each.experts}
    known = own | outputs | {each.name for each in routers.values()}
    mlps = _mlps([each for each in layers[:-1] if each.name not in known], by_output)
    return Facts(
        attentions=attentions,
        activations={down.name: activation(down, by_output) for down in mlps},
        norms=_norms(model),
        parallel=frozenset(_is_parallel(down, by_output, outputs) for down in mlps),
        embedding_scale=embedding_scale(model),
        residual_scales=frozenset(added_scale(each) for each in (*behind, *mlps)),
        head=head_of(model, head),
        mixtures={
            down.name: _mixture(down, routers[down.name], by_output)
            for down in mlps
            if down.experts
        },
    )


def _mixture(down: Linear, router: Linear, by_output: Mapping[ir.Value, Linear]) -> Mixture:
    up = tuple(sources(down.x, by_output).values())
    return Mixture(router, routing(down, router), up, down, correction(down, router))


def _norms(model: ir.Model) -> Counter[tuple[str, float]]:
    found = (node for node in model.graph if node.op_type in NORMS)
    return Counter((node.op_type, node.attributes["epsilon"].as_float()) for node in found)


def _mlps(others: list[Linear], by_output: Mapping[ir.Value, Linear]) -> list[Linear]:
    """The last layers of MLPs: those that read others without a norm or a sum between."""

    def stops(node: ir.Node) -> bool:
        return node.op_type in NORMS or node.op_type == "Attention"

    names = {each.name for each in others}
    return [each for each in others if names & sources(each.x, by_output, stops=stops).keys()]


def _is_parallel(down: Linear, by_output: Mapping[ir.Value, Linear], outputs: set[str]) -> bool:
    """Whether an MLP does not see what the attention of its layer found."""
    (first, *_) = sources(down.x, by_output).values()
    read = sources(first.x, by_output)
    place = [each.name for each in by_output.values()]
    attended = [name for name in place[: place.index(first.name)] if name in outputs]
    return not attended or attended[-1] not in read
