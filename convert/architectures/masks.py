"""Where tokens sit in the cache, and which of them each new token attends to.

Shapes: B batch, S new tokens, T all tokens (cached and new).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from convert.architectures.builder import Dim, GraphBuilder
from convert.graph import BATCH, KEY_SLOTS, QUERY_SLOTS, SEQUENCE, TOTAL_SEQUENCE

BOOL, INT64 = ir.DataType.BOOL, ir.DataType.INT64


@dataclass(frozen=True)
class Slots:
    """Where tokens sit in the cache.

    Args:
        new: Slot of each new token ``[S]``.
        query: The same as a column ``[S, 1]``.
        key: All slots ``[T]``.
        kept: Which slots hold a token rather than padding, ``[B, 1, 1, T]``.
    """

    new: ir.Value
    query: ir.Value
    key: ir.Value
    kept: ir.Value


def slots(b: GraphBuilder, input_ids: ir.Value, attention_mask: ir.Value) -> Slots:
    """New tokens sit in the last slots: token i of S in slot ``T - S + i``."""

    def integers(kind: str, *inputs: ir.Value, name: str, shape: Iterable[Dim]) -> ir.Value:
        return b.op(kind, *inputs, name=name, shape=shape, dtype=INT64)

    def columns(value: ir.Value, scope: str) -> ir.Value:
        length = b.op("Shape", value, name=f"{scope}.Shape", shape=(1,), dtype=INT64, start=1)
        axis = b.integers("axis_0", 0)
        return integers("Squeeze", length, axis, name=f"{scope}.length", shape=())

    zero, one = b.integer("zero", 0), b.integer("one", 1)
    total = columns(attention_mask, "attention_mask")
    first = integers(
        "Sub", total, columns(input_ids, "input_ids"), name="first_query_slot", shape=()
    )
    query = integers("Range", first, total, one, name=QUERY_SLOTS, shape=(SEQUENCE,))
    axis = b.integers("axis_1", 1)
    column = integers(
        "Unsqueeze", query, axis, name=f"{QUERY_SLOTS}.Unsqueeze", shape=(SEQUENCE, 1)
    )
    key = integers("Range", zero, total, one, name=KEY_SLOTS, shape=(TOTAL_SEQUENCE,))
    kept = b.op("Cast", attention_mask, name="attention_mask.Cast", dtype=BOOL, to=BOOL)
    kept = b.op(
        "Unsqueeze",
        kept,
        b.integers("axes_1_2", 1, 2),
        name="attention_mask.Unsqueeze",
        shape=(BATCH, 1, 1, TOTAL_SEQUENCE),
        dtype=BOOL,
    )
    return Slots(query, column, key, kept)


def mask(b: GraphBuilder, at: Slots, window: int | None) -> ir.Value:
    """Which keys each query attends to, bool ``[B, 1, S, T]``.

    ``j ≤ i  and  (slot j holds a token or j = i)  and  j > i - window``, i and j being slots. A
    token attends to itself even if it is padding, so that no row of the softmax is empty.
    """
    scope = "mask.full" if window is None else f"mask.window_{window}"
    pairs = (SEQUENCE, TOTAL_SEQUENCE)
    all_pairs = (BATCH, 1, *pairs)

    def boolean(kind: str, x: ir.Value, y: ir.Value, name: str, shape: Iterable[Dim]) -> ir.Value:
        return b.op(kind, x, y, name=f"{scope}.{name}", shape=shape, dtype=BOOL)

    reach = boolean("LessOrEqual", at.key, at.query, "behind", pairs)
    if window is not None:
        length = b.integer(f"{scope}.length", window)
        edge = b.op("Sub", at.query, length, name=f"{scope}.edge", dtype=INT64)
        inside = boolean("Greater", at.key, edge, "inside", pairs)
        reach = boolean("And", reach, inside, "reach", pairs)
    own = boolean("Equal", at.key, at.query, "own", pairs)
    kept = boolean("Or", at.kept, own, "kept", all_pairs)
    return boolean("And", kept, reach, "allowed", all_pairs)


def conjuncts(value: ir.Value) -> Iterator[ir.Value]:
    """The conditions that all must hold where a mask allows."""
    producer = value.producer()
    if producer is None or producer.op_type != "And":
        yield value
        return
    for operand in producer.inputs:
        assert operand is not None
        yield from conjuncts(operand)


def is_only_causal(mask: ir.Value) -> bool:
    """Whether a mask says no more than that a query sees what is behind and no padding."""
    conditions = list(conjuncts(mask))
    behind = [value for value in conditions if _is_behind(value)]
    kept = [value for value in conditions if _kind(value) == "Or"]
    return len(conditions) == 2 and len(behind) == len(kept) == 1


def _is_behind(value: ir.Value) -> bool:
    producer = value.producer()
    key = producer.inputs[0] if producer is not None else None
    return _kind(value) == "LessOrEqual" and key is not None and key.name == KEY_SLOTS


def _kind(value: ir.Value) -> str:
    producer = value.producer()
    return producer.op_type if producer is not None else ""
