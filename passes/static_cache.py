"""cache[:, :, p : p + S] = new K (or V), p = cache_position: a cache of fixed length, in place."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.errors import PassRefusedError
from convert.graph import (
    BATCH,
    KEY_SLOTS,
    QUERY_SLOTS,
    SEQUENCE,
    TOTAL_SEQUENCE,
    after,
    expert_splits,
    find_value,
    initializer,
    remove_dead_nodes,
)
from passes.cache_form import FORM, CachedTensor, CacheForm, cached_tensors
from passes.token_state import last_tokens, remember, token_states

_FLOAT, _INT64 = ir.TensorType(ir.DataType.FLOAT), ir.TensorType(ir.DataType.INT64)

CACHE_POSITION = "cache_position"
"""Input ``[1]``: the slot of the first new token."""


class StaticCache(CacheForm):
    """Every shape becomes a number; new keys and values are written at ``cache_position``.

    Args:
        batch: Sequences in a batch.
        tokens: New tokens in a run: 1 for decoding, the size of the bucket for a prefill.
        length: Slots of the cache.
    """

    name = "kv_cache_static"
    form = "static"

    def __init__(self, batch: int, tokens: int, length: int) -> None:
        self.batch = batch
        self.tokens = tokens
        self.length = length

    def requires(self, model: ir.Model) -> None:
        super().requires(model)
        graph_name = str(model.graph.name)
        if min(self.batch, self.tokens) < 1 or self.tokens > self.length:
            sizes = f"batch {self.batch}, {self.tokens} tokens and {self.length} slots"
            raise PassRefusedError(f"a cache cannot have {sizes}", graph_name)
        for node in expert_splits(model):
            reason = "how many tokens visit an expert is known only when the model runs"
            raise PassRefusedError(reason, str(node.name))
        for name in (QUERY_SLOTS, KEY_SLOTS):
            if find_value(model, name) is None:
                raise PassRefusedError(f"the graph computes no {name}", graph_name)

    def rewrite(self, model: ir.Model) -> bool:
        position = ir.Value(name=CACHE_POSITION, type=_INT64, shape=ir.Shape((1,)))
        self._number_slots(model, position)
        self._bind_axes(model)
        rows = self._write_indices(model, position)
        for tensor in list(cached_tensors(model)):
            model.graph.outputs.append(self._write(model, tensor, rows))
        self._remember_tokens(model)
        model.graph.inputs.append(position)
        model.metadata_props[FORM] = self.form
        return True

    def ensures(self, model: ir.Model) -> None:
        super().ensures(model)
        for value in _values(model):
            static = value.shape is not None and value.shape.is_static()
            assert static, f"{value.name} has shape {value.shape}, which is not static"

    def _number_slots(self, model: ir.Model, position: ir.Value) -> None:
        """Slots no longer follow from the length of attention_mask."""
        steps = _constant(model, "query_steps", np.arange(self.tokens, dtype=np.int64))
        query = ir.Value(name=QUERY_SLOTS, type=_INT64, shape=ir.Shape((self.tokens,)))
        node = ir.Node("", "Add", (position, steps), outputs=(query,), name=QUERY_SLOTS)
        old_query, old_key = find_value(model, QUERY_SLOTS), find_value(model, KEY_SLOTS)
        assert old_query is not None and old_key is not None
        model.graph.insert_before(model.graph[0], node)
        old_query.replace_all_uses_with(query)
        slots = np.arange(self.length, dtype=np.int64)
        old_key.replace_all_uses_with(_constant(model, KEY_SLOTS, slots))
        remove_dead_nodes(model)

    def _bind_axes(self, model: ir.Model) -> None:
        sizes = {BATCH: self.batch, SEQUENCE: self.tokens, TOTAL_SEQUENCE: self.length}
        sizes |= {after(state.count): self.tokens + state.count for state in token_states(model)}
        for value in _values(model):
            if value.shape is not None:
                axes = [_size(axis, sizes) for axis in value.shape]
                value.shape = ir.Shape(axes)

    def _write_indices(self, model: ir.Model, position: ir.Value) -> ir.Value:
        """One index a sequence, all the same."""
        shape = _constant(model, "write_indices.shape", np.array([self.batch], np.int64))
        rows = ir.Value(name="write_indices", type=_INT64, shape=ir.Shape((self.batch,)))
        node = ir.Node("", "Expand", (position, shape), outputs=(rows,), name="write_indices")
        model.graph.insert_before(model.graph[0], node)
        return rows

    def _remember_tokens(self, model: ir.Model) -> None:
        states = list(token_states(model))
        if states:
            steps = _constant(model, "kept_steps.steps", np.arange(1, self.tokens + 1))
            rows = last_tokens(model, states, steps)
        for state in states:
            past = ir.Value(name=state.past_name, type=_FLOAT, shape=state.shape)
            model.graph.inputs.append(past)
            model.graph.outputs.append(remember(model, state, past, rows))
        if states:
            remove_dead_nodes(model)

    def _write(self, model: ir.Model, tensor: CachedTensor, rows: ir.Value) -> ir.Value:
        """Write the new tokens; attention reads the whole cache."""
        past = ir.Value(name=tensor.past_name, type=_FLOAT, shape=tensor.shape(self.length))
        present = ir.Value(name=tensor.present_name, type=_FLOAT, shape=tensor.shape(self.length))
        node = ir.Node(
            "",
            "TensorScatter",
            (past, tensor.new, rows),
            {"axis": ir.AttrInt64("axis", -2)},
            outputs=(present,),
            name=f"{tensor.present_name}.TensorScatter",
        )
        model.graph.insert_before(tensor.node, node)
        tensor.node.replace_input_with(tensor.position, present)
        model.graph.inputs.append(past)
        return present


def _values(model: ir.Model) -> list[ir.Value]:
    """Every value that is not a constant."""
    return [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]


def _size(axis: int | ir.SymbolicDim, sizes: dict[str, int]) -> int | ir.SymbolicDim:
    if isinstance(axis, ir.SymbolicDim) and axis.value in sizes:
        return sizes[axis.value]
    return axis


def _constant(model: ir.Model, name: str, array: NDArray[np.int64]) -> ir.Value:
    value = initializer(name, ir.tensor(array, name=name))
    model.graph.register_initializer(value)
    return value
