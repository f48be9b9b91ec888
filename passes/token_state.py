"""[earlier tokens; new tokens] where zeros stood before: what short convolutions remember.

Shapes: B batch, S new tokens, n earlier tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import QUERY_KEPT, find_value, is_causal_padding
from passes.insertion import Insertion


@dataclass(frozen=True)
class TokenState:
    """The last tokens ``[B, n, features]`` that one padding before the first token stands for.

    At the start they are zeros, as the padding was: nothing. Nothing else need be known of the
    start, because what is remembered is the very input of a convolution and not what an earlier
    one would make of zeros.

    Args:
        node: The Pad node.
        name: ``N.part``, N being the layer whose attention comes next.
    """

    node: ir.Node
    name: str

    @property
    def tokens(self) -> ir.Value:
        """The new tokens ``[B, S, features]``."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def window(self) -> ir.Value:
        """Earlier and new tokens ``[B, n + S, features]``."""
        return self.node.outputs[0]

    @property
    def past_name(self) -> str:
        """Name of the graph input with the earlier tokens."""
        return f"past_key_values.{self.name}"

    @property
    def present_name(self) -> str:
        """Name of the graph output with those that are the earlier ones next."""
        return f"present.{self.name}"

    @property
    def count(self) -> int:
        """N."""
        assert self.node.inputs[1] is not None
        pads = ir.convenience.get_const_tensor(self.node.inputs[1])
        assert pads is not None
        return int(pads.numpy()[1])

    @property
    def shape(self) -> ir.Shape:
        """``[B, n, features]``."""
        assert self.tokens.shape is not None
        batch, _, features = self.tokens.shape
        return ir.Shape((batch, self.count, features))


def token_states(model: ir.Model) -> Iterator[TokenState]:
    """Every padding before the first token, in order."""
    layer = 0
    for node in model.graph:
        if node.op_type == "Attention":
            layer += 1
        elif is_causal_padding(node):
            module = str(node.name).removesuffix(".Pad").rpartition(".")[2]
            yield TokenState(node, f"{layer}.{module}")


def last_tokens(
    model: ir.Model, states: Sequence[TokenState], steps: ir.Value
) -> dict[int, ir.Value]:
    """Which rows of a window are the earlier tokens of the next run.

    They end with the last token that is kept: padding behind it, up to the size of a bucket, is
    no part of the sequence. Where all new tokens are padding nothing changes.

    Args:
        model: The graph.
        states: All, in order.
        steps: 1 to S, i64 ``[S]``.

    Returns:
        Indices ``[B, n, 1]`` by n.
    """
    to, integer = Insertion(model.graph, states[0].node), ir.DataType.INT64
    kept = find_value(model, QUERY_KEPT)
    assert kept is not None and kept.shape is not None
    batch, sequence = kept.shape
    shape: tuple[int | ir.SymbolicDim, ...] = (batch, sequence)
    numbered = to.op("Mul", kept, steps, name="kept_steps", shape=shape, dtype=integer)
    axis, name = to.integers("axis_1", 1), "kept_steps.last"
    last = to.op("ReduceMax", numbered, axis, name=name, shape=(batch, 1), dtype=integer)
    rows = {}
    for count in dict.fromkeys(state.count for state in states):
        name, shape = f"last_tokens_{count}", (batch, count)
        offsets = to.constant(f"{name}.offsets", np.arange(count, dtype=np.int64))
        found = to.op("Add", last, offsets, name=f"{name}.Add", shape=shape, dtype=integer)
        axis, shape = to.integers("axis_2", 2), (*shape, 1)
        rows[count] = to.op("Unsqueeze", found, axis, name=name, shape=shape, dtype=integer)
    return rows


def remember(
    model: ir.Model, state: TokenState, past: ir.Value, rows: Mapping[int, ir.Value]
) -> ir.Value:
    """Put ``past`` where the padding was.

    Args:
        model: The graph.
        state: What is remembered.
        past: The earlier tokens.
        rows: From `last_tokens`.

    Returns:
        The earlier tokens of the next run, ``[B, n, features]``.
    """
    to, shape, scope = Insertion(model.graph, state.node), state.shape, state.node.name
    assert state.window.shape is not None
    window = to.op(
        "Concat", past, state.tokens, name=f"{scope}.Concat", shape=state.window.shape, axis=1
    )
    name, last = state.present_name, rows[state.count]
    present = to.op("GatherND", window, last, name=name, shape=shape, batch_dims=1)
    state.window.replace_all_uses_with(window)
    model.graph.remove(state.node, safe=True)
    return present
