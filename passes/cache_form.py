"""What the forms of the cache share: a past and a present for each thing that is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import QUERY_KEPT, attention_nodes, find_value
from passes.base import Pass
from passes.token_state import token_states

FORM = "kv_cache.form"
"""Key of the model's metadata that says which form of KV cache it has."""

PAST_SEQUENCE = "past_sequence"

PARTS = ("key", "value")
"""In the order of Attention's inputs: key first, value second."""

PLAIN_INPUTS = 4
"""Query, key, value, mask: what Attention has before a cache is added."""


@dataclass(frozen=True)
class CachedTensor:
    """The key or the value of one layer.

    Args:
        node: The layer's Attention node.
        position: Which of the node's inputs it is.
        name: ``N.key`` or ``N.value``.
    """

    node: ir.Node
    position: int
    name: str

    @property
    def new(self) -> ir.Value:
        """What this run adds to the cache, ``[batch, kv_heads, sequence, head_dim]``."""
        value = self.node.inputs[self.position]
        assert value is not None
        return value

    @property
    def past_name(self) -> str:
        """Name of the graph input with the cache so far."""
        return f"past_key_values.{self.name}"

    @property
    def present_name(self) -> str:
        """Name of the graph output with the cache from now on."""
        return f"present.{self.name}"

    def shape(self, length: int | str) -> ir.Shape:
        """Shape of a cache with so many slots."""
        assert self.new.shape is not None
        batch, kv_heads, _, head_dim = self.new.shape
        return ir.Shape((batch, kv_heads, length, head_dim))


def cached_tensors(model: ir.Model) -> Iterator[CachedTensor]:
    """Key and value of every layer, in order."""
    for layer, node in enumerate(attention_nodes(model)):
        for position, part in enumerate(PARTS, start=1):
            yield CachedTensor(node, position, f"{layer}.{part}")


class CacheForm(Pass):
    """A pass that gives the graph a KV cache. It does not change what the graph computes."""

    exact = True
    form: ClassVar[str]

    def requires(self, model: ir.Model) -> None:
        nodes = attention_nodes(model)
        if not nodes:
            raise PassRefusedError("the graph has no attention to cache", str(model.graph.name))
        present = model.metadata_props.get(FORM)
        if present is not None:
            raise PassRefusedError(f"the graph has a {present} KV cache already", _name(nodes[0]))
        for node in nodes:
            if len(node.inputs) != PLAIN_INPUTS or None in node.inputs:
                reason = "attention does not read just query, key, value and mask"
                raise PassRefusedError(reason, _name(node))
        for tensor in cached_tensors(model):
            if tensor.new.shape is None or len(tensor.new.shape) != 4:
                reason = f"the shape of {tensor.name} is not [batch, kv_heads, sequence, head_dim]"
                raise PassRefusedError(reason, _name(tensor.node))
        for state in token_states(model):
            if find_value(model, QUERY_KEPT) is None:
                reason = f"the graph computes no {QUERY_KEPT}, so that padding would be remembered"
                raise PassRefusedError(reason, _name(state.node))

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        for tensor in cached_tensors(model):
            assert tensor.past_name in inputs, f"{tensor.past_name} is not an input"
            assert tensor.present_name in outputs, f"{tensor.present_name} is not an output"
        forgotten = [state.name for state in token_states(model)]
        assert not forgotten, f"{forgotten} begin with zeros in every run"
        pasts = {str(name) for name in inputs if str(name).startswith("past_key_values.")}
        presents = {name.replace("past_key_values.", "present.", 1) for name in pasts}
        assert presents <= outputs, f"{presents - outputs} are not outputs"
        assert model.metadata_props[FORM] == self.form


def _name(node: ir.Node) -> str:
    return str(node.name)
