"""Which part of every matrix each rank holds: heads, channels of the MLP, rows of the table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.parameter import Parameter
from convert.weight_views import Range
from passes.sharding.groups import Flow, Group, Linear, groups
from passes.sharding.partition import Heads, partition, partition_heads

VOCABULARY_BLOCK = 8
"""Rows of an embedding or a head that stay together: what encodings write at a time."""

Ranges = tuple[Range, ...]
"""One range for each rank."""


@dataclass
class Plan:
    """How a graph is cut.

    Args:
        outputs: For the product of each linear layer that is cut by outputs, their ranges.
        inputs: The products of the linear layers that are cut by inputs.
        heads: For each attention node that is cut.
        vocabulary: For each Gather of an embedding that is cut.
        whole: Names of weights that could have been cut but for a reason given in the notes.
        notes: What could not be cut, or not where it should be, and why.
    """

    outputs: dict[ir.Node, Ranges] = field(default_factory=dict)
    inputs: set[ir.Node] = field(default_factory=set)
    heads: dict[ir.Node, Heads] = field(default_factory=dict)
    vocabulary: dict[ir.Node, Ranges] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    notes: tuple[str, ...] = ()


class _StaysWholeError(Exception):
    """A group cannot be cut and stays whole."""


def plan(model: ir.Model, ranks: int, block: int) -> Plan:
    """Plan the cuts for ``ranks`` ranks.

    Args:
        block: Inputs of a linear layer that should stay together: what one scale covers.

    Raises:
        PassRefusedError: There are fewer heads, channels or tokens than ranks.
    """
    made = Plan()
    remarks: dict[str, list[str]] = defaultdict(list)
    for group in groups(model):
        try:
            aligned = _cut(group, made, ranks, block)
        except _StaysWholeError as reason:
            names = [linear.name for linear in group.sources]
            remarks[f"whole on every rank: {reason}"] += names
            made.whole |= {*names}
        else:
            if aligned % block and group.sinks:
                names = [linear.name for linear in group.sinks]
                remarks[f"cut at multiples of {aligned} columns, not of {block}"] += names
    for gather in _embeddings(model):
        _cut_embedding(gather, made, ranks)
    made.notes = tuple(f"{_names(names)}: {text}" for text, names in remarks.items())
    return made


def _cut(group: Group, made: Plan, ranks: int, block: int) -> int:
    """Enter the cuts of a group into the plan; of what number of columns they are multiples."""
    _require_simple(group)
    if group.attention:
        heads, unit = _heads(group, ranks, block)
        ranges = {flow.source: _of_heads(flow, heads, group) for flow in group.flows}
        made.heads |= dict.fromkeys(group.attention, heads)
    else:
        ranges, unit = _channels(group, ranks, block if group.sinks else VOCABULARY_BLOCK)
    made.outputs |= {linear.product: cut for linear, cut in ranges.items()}
    made.inputs |= {sink.product for sink in group.sinks}
    return unit


def _require_simple(group: Group) -> None:
    """Refuse weights that are used elsewhere, and joints of a cut value with a whole one."""
    if not group.sinks and not group.has_outputs:
        raise _StaysWholeError("no layer that can be cut sums over it")
    for linear in (*group.sources, *group.sinks):
        turns = [node for node in linear.weight.consumers() if node.op_type == "Transpose"]
        others = len(linear.weight.consumers()) - len(turns)
        if len(turns) > 1 or (others and not _is_tied_head(linear, group)):
            raise _StaysWholeError("another layer has the same weight")
    values = {value: axis for flow in group.flows for value, axis in flow.values.items()}
    for node in group.readers:
        if node.op_type != "Concat":
            continue
        cut = [values.get(value) for value in node.inputs if value is not None]
        own = node.attributes["axis"].as_int()
        rank = len(node.outputs[0].shape or ())
        if None in cut and own % rank in cut:
            raise _StaysWholeError(f"{node.name} joins it with what is not cut")


def _is_tied_head(linear: Linear, group: Group) -> bool:
    return not group.sinks and all(_is_embedding(node) for node in _other_readers(linear.weight))


def _other_readers(weight: ir.Value) -> list[ir.Node]:
    return [node for node in weight.consumers() if node.op_type != "Transpose"]


def _heads(group: Group, ranks: int, block: int) -> tuple[Heads, int]:
    """Heads of each rank, and of how many columns of the next layer the cuts are multiples."""
    kinds = {_head_counts(node) for node in group.attention}
    if len(kinds) > 1:
        raise _StaysWholeError("attention nodes with different heads meet")
    heads, kv_heads, width = kinds.pop()
    found = partition_heads(heads, kv_heads, ranks, width=width, block=block)
    if found is None:
        reason = f"{heads} query heads over {kv_heads} key-value heads cannot go to {ranks} ranks"
        raise PassRefusedError(reason, str(group.attention[0].name))
    return found, found.unit * width


def _head_counts(node: ir.Node) -> tuple[int, int, int]:
    """Query heads, key-value heads, size of a value head."""
    shapes = [value.shape for value in node.inputs[:3] if value is not None]
    sizes = [shape[axis] for shape, axis in zip(shapes, (1, 1, 3), strict=True) if shape]
    heads, kv_heads, width = (size for size in sizes if isinstance(size, int))
    return heads, kv_heads, width


def _of_heads(flow: Flow, heads: Heads, group: Group) -> Ranges:
    """The outputs of a layer that belong to each rank's heads."""
    query_heads, kv_heads, _ = _head_counts(group.attention[0])
    kinds = {index for _, index in flow.attention}
    as_keys = kinds and 0 not in kinds
    if len(kinds) > 1 and 0 in kinds and kv_heads != query_heads:
        raise _StaysWholeError("one layer makes grouped queries and keys")
    count, ranges = (kv_heads, heads.keys) if as_keys else (query_heads, heads.queries)
    size, rest = divmod(flow.source.rows, count)
    if rest:
        raise _StaysWholeError(f"its {flow.source.rows} outputs are no multiple of {count} heads")
    return tuple((first * size, last * size) for first, last in ranges)


def _channels(group: Group, ranks: int, block: int) -> tuple[dict[Linear, Ranges], int]:
    lengths = {flow.source.rows for flow in group.flows}
    if len(lengths) > 1:
        raise _StaysWholeError("layers of different width meet")
    length, source = lengths.pop(), group.flows[0].source
    found = partition(length, ranks, grain=_grain(group, length), block=block)
    if found is None:
        reason = f"{length} outputs of {source.name} cannot be cut into {ranks} parts"
        raise PassRefusedError(reason, str(source.product.name))
    # A joint of several cut values must not begin in the middle of a block.
    unit = math.gcd(found.unit, length) if _is_joined(group) else found.unit
    return {flow.source: found.ranges for flow in group.flows}, unit


def _is_joined(group: Group) -> bool:
    return any(sink.columns != group.flows[0].source.rows for sink in group.sinks)


def _grain(group: Group, length: int) -> int:
    """Outputs that some value on the way holds in one index."""
    grain = 1
    for flow in group.flows:
        for value, axis in flow.values.items():
            size = value.shape[axis] if value.shape else None
            if isinstance(size, int) and length % size == 0:
                grain = math.lcm(grain, length // size)
    return grain


def _cut_embedding(gather: ir.Node, made: Plan, ranks: int) -> None:
    """By the vocabulary; if the head is tied, at the head's cuts or not at all."""
    table = gather.inputs[0]
    assert table is not None and table.shape is not None
    heads = [user for turn in table.consumers() for user in turn.outputs[0].consumers()]
    heads = [node for node in heads if node.op_type == "MatMul"]
    if heads:
        cuts = made.outputs.get(heads[0])
        if cuts is not None:
            made.vocabulary[gather] = cuts
        return
    found = partition(int(str(table.shape[0])), ranks, block=VOCABULARY_BLOCK)
    if found is None:
        reason = f"the {table.shape[0]} rows of {table.name} cannot be cut into {ranks} parts"
        raise PassRefusedError(reason, str(gather.name))
    made.vocabulary[gather] = found.ranges


def _embeddings(model: ir.Model) -> Iterator[ir.Node]:
    for node in model.graph:
        if _is_embedding(node) and node.inputs[0] is not None:
            readers = _other_readers(node.inputs[0])
            if len(readers) == 1:
                yield node


def _is_embedding(node: ir.Node) -> bool:
    """Whether the node looks up rows of a parameter."""
    table = node.inputs[0] if node.op_type == "Gather" else None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    return (
        table is not None
        and axis == 0
        and isinstance(table.const_value, Parameter)
        and len(table.const_value.weight.shape) == 2
    )


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
