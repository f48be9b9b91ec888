"""K = [past K; new K], V = [past V; new V]: attention reads what earlier runs computed."""

from __future__ import annotations

import onnx_ir as ir

from convert.graph import BATCH, TOTAL_SEQUENCE
from passes.cache_form import (
    FORM,
    PARTS,
    PAST_SEQUENCE,
    PLAIN_INPUTS,
    CachedTensor,
    CacheForm,
    cached_tensors,
)
from passes.static_cache import StaticCache

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
            model.graph.outputs.append(_attend_to_past(tensor, self.past(model, tensor, past)))
        model.metadata_props[FORM] = self.form
        return True

    def past(self, model: ir.Model, tensor: CachedTensor, past: ir.Value) -> ir.Value:
        """What attention reads of the graph input ``past``."""
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

    def past(self, model: ir.Model, tensor: CachedTensor, past: ir.Value) -> ir.Value:
        scope = f"{past.name}.Gather"
        picked = ir.Value(name=scope, type=_FLOAT, shape=tensor.shape(PAST_SEQUENCE))
        rows = next(value for value in model.graph.inputs if value.name == BEAM_IDX)
        axis = {"axis": ir.AttrInt64("axis", 0)}
        gather = ir.Node("", "Gather", (past, rows), axis, outputs=(picked,), name=scope)
        model.graph.insert_before(tensor.node, gather)
        return picked


def _attend_to_past(tensor: CachedTensor, past: ir.Value) -> ir.Value:
    """Give Attention the past; return the present that it puts out."""
    node = tensor.node
    node.resize_inputs(PLAIN_INPUTS + len(PARTS))
    node.replace_input_with(PLAIN_INPUTS + tensor.position - 1, past)
    node.resize_outputs(1 + len(PARTS))
    present = node.outputs[tensor.position]
    present.name, present.type = tensor.present_name, _FLOAT
    present.shape = tensor.shape(TOTAL_SEQUENCE)
    return present
