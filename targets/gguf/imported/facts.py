"""What an imported graph computes, as far as architectures of llama.cpp differ in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.architectures.masks import is_only_causal
from convert.errors import UnsupportedConfigError
from convert.graph import attention_nodes
from convert.importing.raising.patterns import size_of
from targets.gguf.imported.activations import Activation, activation
from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.heads import LIMITS, NORMS, Heads, heads_of, without_repeats
from targets.gguf.imported.linears import Linear, linears, sources
from targets.gguf.imported.rotations import Rotation, Stated, rotation
from targets.gguf.imported.routings import Routing, correction, router_of, routing
from targets.gguf.imported.scalars import Head, added_scale, embedding_scale, head_of


@dataclass(frozen=True, eq=False)
class Attention:
    """A layer's attention.

    Args:
        queries: Where they come from.
        keys: Likewise.
        values: Likewise.
        output: The layer behind it.
        scale: What products of queries and keys are multiplied by.
        cap: What caps them; 0 if nothing does.
        window: Tokens that are seen; None for all.
        rotation: Of queries and keys; None if they are not rotated.
    """

    queries: Heads
    keys: Heads
    values: Heads
    output: Linear
    scale: float
    cap: float
    window: int | None
    rotation: Rotation | None


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
        norms: Kind and epsilon of all norms.
        parallel: Whether attention and MLP of a layer read the same.
        embedding_scale: What embeddings are multiplied by.
        residual_scales: What the outputs of attention and MLP are multiplied by.
        head: What happens to the logits.
        mixtures: What chooses among experts, by the name of the first weight of their last layer.
    """

    attentions: tuple[Attention, ...]
    activations: Mapping[str, Activation]
    norms: frozenset[tuple[str, float]]
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
    behind = [_behind(node, layers) for node in nodes]
    attentions = tuple(
        _attention(node, window, output, _Reading(by_output, said))
        for node, window, output in zip(nodes, config.windows, behind, strict=True)
    )
    own = {each.linear.name for a in attentions for each in (a.queries, a.keys, a.values)}
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


def _norms(model: ir.Model) -> frozenset[tuple[str, float]]:
    found = (node for node in model.graph if node.op_type in NORMS)
    return frozenset((node.op_type, node.attributes["epsilon"].as_float()) for node in found)


@dataclass(frozen=True, eq=False)
class _Reading:
    """What is known while attentions are looked at: layers by what they give, and the config."""

    by_output: Mapping[ir.Value, Linear]
    said: Stated | None


def _attention(node: ir.Node, window: int | None, output: Linear, reading: _Reading) -> Attention:
    parts = []
    for value in node.inputs[:3]:
        assert value is not None
        parts.append(heads_of(value, reading.by_output))
    queries, keys, values = parts[0], *map(without_repeats, parts[1:])
    mask = node.inputs[3]
    if mask is None or mask.dtype != ir.DataType.BOOL:
        raise NotComputableError(f"{node.name} of scores that something is added to")
    if window is None and not is_only_causal(mask):
        raise NotComputableError(f"{node.name} with a mask of its own, {mask.name}")
    rotated = [_rotation(each, reading.said) for each in (queries, keys)]
    one, other = rotated
    if (one is None) != (other is None) or (one and other and not one.equals(other)):
        raise NotComputableError(f"{node.name} of queries and keys that are rotated differently")
    if any(kind not in LIMITS for kind in values.way) or queries.way != keys.way:
        raise NotComputableError(f"{node.name} of {queries.way}, {keys.way} and {values.way}")
    cap = node.attributes.get("softcap")
    scale = node.attributes["scale"].as_float()
    return Attention(
        queries, keys, values, output, scale, cap.as_float() if cap else 0.0, window, one
    )


def _rotation(heads: Heads, said: Stated | None) -> Rotation | None:
    return None if heads.rotary is None else rotation(heads.rotary, said)


def _behind(node: ir.Node, layers: tuple[Linear, ...]) -> Linear:
    """The linear layer that reads an attention, head after head."""
    result = node.outputs[0]
    for layer in layers:
        if not _reads(layer.x, result):
            continue
        heads, size = size_of(result, 1) or 0, size_of(result, 3) or 0
        numbers = np.arange(heads * size, dtype=np.int64).reshape(1, heads, 1, size)
        found = evaluated(layer.x, {result: numbers}).reshape(-1)
        if np.array_equal(found, np.arange(heads * size)):
            return layer
        raise NotComputableError(f"{layer.name} reads heads in another order")
    raise NotComputableError(f"nothing reads {node.name} alone")


def _reads(value: ir.Value, result: ir.Value) -> bool:
    """Whether a value is another, moved about."""
    while value is not result:
        node = value.producer()
        if node is None or node.op_type not in ("Reshape", "Transpose", "Identity", "Squeeze"):
            return False
        first = node.inputs[0]
        assert first is not None
        value = first
    return True


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
