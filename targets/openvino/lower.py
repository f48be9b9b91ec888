"""From the stateful decoder graph to an OpenVINO model whose weights are placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from openvino import Model, Node
from openvino import opset13 as ops

from convert.errors import UnsupportedError
from convert.parameter import Parameter
from passes.calibration.observers import InputRange
from targets.openvino.context import Context
from targets.openvino.experts import StackedGroup, lower_group, stacked_groups
from targets.openvino.operators import lower_node
from targets.openvino.state import read_state
from targets.openvino.stored import has_usual_name, note_names
from targets.openvino.weights import StoredWeight, stored_weight

INPUTS = {"input_ids": 2, "attention_mask": 2, "position_ids": 2, "beam_idx": 1}
"""Name and rank of the inputs, in the order in which LLM pipelines know them."""

PAST_PREFIX = "past_key_values."
"""How the names of inputs begin that become state."""


@dataclass(frozen=True)
class Lowered:
    """An OpenVINO model and the weights that are still to be written.

    Args:
        model: Its parameters are `INPUTS`, then the placeholders of the weights.
        weights: In the order of the graph's initializers.
    """

    model: Model
    weights: tuple[StoredWeight, ...]


def lower(model: ir.Model, input_ranges: Mapping[str, InputRange] | None = None) -> Lowered:
    """Lower a decoder graph in the ``stateful`` cache form.

    Args:
        model: The graph.
        input_ranges: By name of its weight, where the input of a layer of 8-bit inputs lies.

    Raises:
        UnsupportedError: An operator, an input or an encoding cannot be expressed.
        UsageError: A layer of 8-bit inputs has no range.
    """
    form = model.metadata_props.get("kv_cache.form")
    if form != "stateful":
        raise UnsupportedError(
            "OpenVINO lowering needs the stateful KV cache",
            expected="kv_cache.form = stateful",
            found=f"kv_cache.form = {form}",
        )
    context, graph = Context(input_ranges), model.graph
    inputs = _lower_inputs(context, graph)
    groups = stacked_groups(model)
    weights = _lower_initializers(context, graph, groups)
    starts = {group.group.steps[0]: group for group in groups}
    variables = _lower_state(context, graph, inputs[0])
    for node in graph:
        if node in starts:
            lower_group(context, starts[node], lower_node)
        if context.is_absorbed(node):
            continue
        for value, lowered in zip(node.outputs, lower_node(context, node), strict=False):
            context.bind(value, lowered, node.name or node.op_type)
    sinks = []
    for present, variable in variables.items():
        sink = ops.assign(context.node(_output(graph, present)), variable)
        sink.set_friendly_name(f"{present}/Assign")
        sinks.append(sink)
    result = _result(context.node(_output(graph, "logits")), "logits")
    placeholders = [node for weight in weights for node, _ in weight.placeholders]
    lowered = Model([result], sinks, [*inputs, *placeholders], graph.name)
    names = [weight.node.get_friendly_name() for weight in weights]
    note_names(lowered, [name for name in names if not has_usual_name(name)])
    return Lowered(lowered, weights)


def _lower_inputs(context: Context, graph: ir.Graph) -> list[Node]:
    values = {value.name: value for value in graph.inputs}
    unknown = [name for name in values if name not in INPUTS and not _is_past(name)]
    if unknown or INPUTS.keys() - values.keys():
        raise UnsupportedError(
            "the graph's inputs are not those of a decoder with state",
            expected=", ".join(INPUTS),
            found=", ".join(sorted(str(name) for name in values if not _is_past(name))),
        )
    parameters = []
    for name, rank in INPUTS.items():
        dtype = np.int32 if name == "beam_idx" else np.int64
        parameter = ops.parameter([-1] * rank, dtype)
        parameter.output(0).get_tensor().set_names({name})
        context.bind(values[name], parameter, name)
        parameters.append(parameter)
    return parameters


def _lower_initializers(
    context: Context, graph: ir.Graph, groups: Sequence[StackedGroup]
) -> tuple[StoredWeight, ...]:
    stacked = {value for group in groups for value in group.values}
    weights = [
        _named(context, name, weight) for each in groups for name, weight in each.stored.values()
    ]
    for name, value in graph.initializers.items():
        if value in stacked:
            continue
        tensor = value.const_value
        if isinstance(tensor, Parameter):
            weights.append(_named(context, name, stored_weight(tensor)))
            context.bind(value, weights[-1].node, name)
        else:
            assert tensor is not None
            context.bind(value, ops.constant(np.array(tensor.numpy())), name)
    return tuple(weights)


def _named(context: Context, name: str, weight: StoredWeight) -> StoredWeight:
    for node, plane in weight.placeholders:
        context.name(node, name if node is weight.node else f"{name}/{plane.name}")
    context.name(weight.node, name)
    return weight


def _lower_state(context: Context, graph: ir.Graph, input_ids: Node) -> dict[str, str]:
    """Bind every past to a state variable; return the variable of each present."""
    zero = np.int64(0)
    batch = ops.gather(ops.shape_of(input_ids), np.array([0], np.int64), zero)
    variables = {}
    for value in graph.inputs:
        if not _is_past(value.name):
            continue
        assert value.name is not None and value.shape is not None
        present = value.name.replace(PAST_PREFIX, "present.", 1)
        # The name that OpenVINO's own MakeStateful gives: input and output joined.
        variables[present] = value.name + present
        axes = [axis if isinstance(axis, int) else None for axis in value.shape[1:]]
        context.bind(value, read_state(variables[present], batch, axes), value.name)
    return variables


def _is_past(name: str | None) -> bool:
    return name is not None and name.startswith(PAST_PREFIX)


def _output(graph: ir.Graph, name: str) -> ir.Value:
    for value in graph.outputs:
        if value.name == name:
            return value
    raise UnsupportedError(f"the graph has no output {name!r}")


def _result(node: Node, name: str) -> Node:
    node.output(0).get_tensor().set_names({name})
    result = ops.result(node)
    result.set_friendly_name(name)
    return result
