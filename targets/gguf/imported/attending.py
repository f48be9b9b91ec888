"""What the attention of a layer of an imported graph does, and which layers it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.architectures.masks import is_only_causal
from convert.attention_sinks import sink_of
from convert.importing.raising.patterns import size_of
from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.heads import LIMITS, NORMS, Heads, heads_of, without_repeats
from targets.gguf.imported.latent import Latent, keys_of
from targets.gguf.imported.linears import Linear, is_weight
from targets.gguf.imported.rotations import Rotation, Stated, rotation

_MOVES = ("Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze")


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
        latent: What else keys are made of, if keys and values are made of a short vector.
        inner: The layer that makes what queries are made of, if it is not the layer's input.
        sinks: Name of scores that the keys compete with, one for each head; None if there are none.
    """

    queries: Heads
    keys: Heads
    values: Heads
    output: Linear
    scale: float
    cap: float
    window: int | None
    rotation: Rotation | None
    latent: Latent | None = None
    inner: Linear | None = None
    sinks: str | None = None

    @property
    def layers(self) -> tuple[Linear, ...]:
        """All layers that queries, keys and values come from."""
        inner = (self.inner, self.latent.inner if self.latent else None)
        made = (self.queries.linear, self.keys.linear, self.values.linear)
        return (*made, *(each for each in inner if each is not None))


@dataclass(frozen=True, eq=False)
class Reading:
    """What is known while attentions are looked at: layers by what they give, what the config
    says of rotations, and tokens of the longest text.
    """

    by_output: Mapping[ir.Value, Linear]
    said: Stated | None
    longest: int = 2


def attention_of(node: ir.Node, window: int | None, output: Linear, reading: Reading) -> Attention:
    """What an Attention does.

    Args:
        node: It.
        window: Tokens that are seen; None for all.
        output: See `Attention`.
        reading: What else is known.

    Raises:
        NotComputableError: Its queries, keys or values are made in a way that is not known.
    """
    query, key, value, mask = node.inputs[:4]
    assert query is not None and key is not None and value is not None
    queries, values = heads_of(query, reading.by_output), heads_of(value, reading.by_output)
    keys, latent = keys_of(key, reading.by_output)
    values = without_repeats(values)
    if mask is None or mask.dtype != ir.DataType.BOOL:
        raise NotComputableError(f"{node.name} of scores that something is added to")
    if window is None and not is_only_causal(mask):
        raise NotComputableError(f"{node.name} with a mask of its own, {mask.name}")
    turning = (queries.rotary, keys.rotary if latent is None else latent.rotary)
    one, other = (
        None if each is None else rotation(each, reading.said, reading.longest) for each in turning
    )
    if (one is None) != (other is None) or (one and other and not one.equals(other)):
        raise NotComputableError(f"{node.name} of queries and keys that are rotated differently")
    if any(kind not in LIMITS for kind in values.way) or queries.way != keys.way:
        raise NotComputableError(f"{node.name} of {queries.way}, {keys.way} and {values.way}")
    cap = node.attributes.get("softcap")
    scale = node.attributes["scale"].as_float()
    return Attention(
        *(queries, keys, values, output, scale, cap.as_float() if cap else 0.0, window, one),
        latent=latent,
        inner=None if latent is None else _before_the_norm(queries.linear, reading.by_output),
        sinks=_sinks(node),
    )


def _before_the_norm(layer: Linear, by_output: Mapping[ir.Value, Linear]) -> Linear | None:
    """The layer whose output another reads once it is normalized."""
    norm = layer.x.producer()
    read = norm.inputs[0] if norm is not None and norm.op_type in NORMS else None
    return None if read is None else by_output.get(read)


def _sinks(node: ir.Node) -> str | None:
    """Name of the scores of no key."""
    sink = sink_of(node)
    if sink is None:
        return None
    value = sink.scores
    while not is_weight(value):
        made = value.producer()
        before = made.inputs[0] if made is not None and made.op_type in _MOVES else None
        if before is None:
            raise NotComputableError(f"{node.name} with sinks that are computed")
        value = before
    return str(value.name)


def layer_behind(node: ir.Node, layers: tuple[Linear, ...]) -> Linear:
    """The linear layer that reads an attention, head after head.

    Raises:
        NotComputableError: None does.
    """
    sink = sink_of(node)
    result = node.outputs[0] if sink is None else sink.result
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
        if node is None or node.op_type not in _MOVES:
            return False
        first = node.inputs[0]
        assert first is not None
        value = first
    return True
