"""K = [past K; new K], V = [past V; new V]: attention reads what earlier runs computed.

Convolutions read the last tokens that earlier runs gave them, see `passes.token_state`.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import BATCH, INPUT_IDS, TOTAL_SEQUENCE, remove_dead_nodes
from passes.cache_form import (
    FORM,
    PARTS,
    PAST_SEQUENCE,
    PLAIN_INPUTS,
    CachedTensor,
    CacheForm,
    cached_tensors,
)
from passes.insertion import Insertion
from passes.static_cache import StaticCache
from passes.token_state import last_tokens, remember, token_states

__all__ = ["BEAM_IDX", "FORM", "DynamicCache", "StatefulCache", "StaticCache"]

BEAM_IDX = "beam_idx"
"""Input ``[batch]``: which row of the cache each row of the batch continues."""

_FLOAT = ir.TensorType(ir.DataType.FLOAT)


class DynamicCache(CacheForm):
    """The cache goes in as ``past_key_values.N.*`` and comes out, longer, as ``present.N.*``."""

    name = "kv_cache_dynamic"
    form = "dynamic"

    def rewrite(self, model: ir.Model) -> bool:
        for tensor in list(cached_tensors(model)):
            past = ir.Value(name=tensor.past_name, type=_FLOAT, shape=tensor.shape(PAST_SEQUENCE))
            model.graph.inputs.append(past)
            read = self.past(model, tensor.node, past)
            model.graph.outputs.append(_attend_to_past(tensor, read))
        states = list(token_states(model))
        if states:
            rows = last_tokens(model, states, _steps(model, states[0].node))
        for state in states:
            past = ir.Value(name=state.past_name, type=_FLOAT, shape=state.shape)
            model.graph.inputs.append(past)
            read = self.past(model, state.node, past)
            model.graph.outputs.append(remember(model, state, read, rows))
        if states:
            remove_dead_nodes(model)
        model.metadata_props[FORM] = self.form
        return True

    def past(self, model: ir.Model, node: ir.Node, past: ir.Value) -> ir.Value:
        """What ``node`` reads of the graph input ``past``."""
        return past

    def ensures(self, model: ir.Model) -> None:
        super().ensures(model)
        for tensor in cached_tensors(model):
            present = tensor.node.outputs[tensor.position]
            assert present.name == tensor.present_name, f"{present.name} is not the present"


class StatefulCache(DynamicCache):
    """A `DynamicCache` whose rows ``beam_idx`` picks first; the runtime keeps it between runs."""

    name = "kv_cache_stateful"
    form = "stateful"

    def rewrite(self, model: ir.Model) -> bool:
        kind, shape = ir.TensorType(ir.DataType.INT32), ir.Shape((BATCH,))
        model.graph.inputs.append(ir.Value(name=BEAM_IDX, type=kind, shape=shape))
        return super().rewrite(model)

    def past(self, model: ir.Model, node: ir.Node, past: ir.Value) -> ir.Value:
        rows = next(value for value in model.graph.inputs if value.name == BEAM_IDX)
        assert past.shape is not None
        to = Insertion(model.graph, node)
        return to.op("Gather", past, rows, name=f"{past.name}.Gather", shape=past.shape, axis=0)


def _steps(model: ir.Model, before: ir.Node) -> ir.Value:
    """1 to S, i64 ``[S]``."""
    ids = next(value for value in model.graph.inputs if value.name == INPUT_IDS)
    assert ids.shape is not None
    to, integer, scope = Insertion(model.graph, before), ir.DataType.INT64, "query_steps"
    one = to.constant("one", np.array(1, np.int64))
    length = to.op("Shape", ids, name=f"{scope}.Shape", shape=(1,), dtype=integer, start=1)
    axis = to.integers("axis_0", 0)
    length = to.op("Squeeze", length, axis, name=f"{scope}.length", shape=(), dtype=integer)
    end = to.op("Add", length, one, name=f"{scope}.Add", shape=(), dtype=integer)
    return to.op("Range", one, end, one, name=scope, shape=(ids.shape[1],), dtype=integer)


def _attend_to_past(tensor: CachedTensor, past: ir.Value) -> ir.Value:
    """Give Attention the past; return the present that it puts out."""
    node = tensor.node
    node.resize_inputs(PLAIN_INPUTS + len(PARTS))
    node.replace_input_with(PLAIN_INPUTS + tensor.position - 1, past)
    node.resize_outputs(max(len(node.outputs), 1 + len(PARTS)))
    present = node.outputs[tensor.position]
    present.name, present.type = tensor.present_name, _FLOAT
    present.shape = tensor.shape(TOTAL_SEQUENCE)
    return present
