"""The causal convolutions of a graph: where they are, and what they see of the tokens before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import is_causal_padding
from convert.parameter import Parameter


@dataclass(frozen=True)
class CausalConvolution:
    """``y[t] = bias + Σ W[:, :, k] x[t - K + 1 + k]``, over the second axis of ``[B, S, in]``.

    Args:
        node: The Conv node.
        window: ``x`` with the K - 1 tokens before it, ``[B, K - 1 + S, in]``.
        output: ``y``, ``[B, S, out]``.
        between: From behind ``window`` to before ``output``, all nodes.
    """

    node: ir.Node
    window: ir.Value
    output: ir.Value
    between: tuple[ir.Node, ...]

    @property
    def scope(self) -> str:
        """Name of the module."""
        return str(self.node.name).removesuffix(".Conv")

    @property
    def weight(self) -> Parameter:
        """``W [out, in, K, 1]``."""
        value = self.node.inputs[1]
        assert value is not None and isinstance(value.const_value, Parameter)
        return value.const_value

    @property
    def bias(self) -> ir.Value:
        """``[out]``."""
        value = self.node.inputs[2]
        assert value is not None
        return value

    @property
    def kernel(self) -> int:
        """K."""
        return self.weight.weight.shape[2]

    @property
    def joint(self) -> ir.Node:
        """The node that puts the earlier tokens before the new ones: Pad, or Concat of a cache."""
        node = self.window.producer()
        assert node is not None
        return node

    @property
    def tokens(self) -> ir.Value:
        """``x``."""
        value = self.joint.inputs[0 if self.joint.op_type == "Pad" else -1]
        assert value is not None
        return value


def causal_convolutions(model: ir.Model) -> Iterator[CausalConvolution]:
    """Every convolution, in order.

    Raises:
        PassRefusedError: One is not causal, or not written as the architectures write it.
    """
    for node in model.graph:
        if node.op_type == "Conv":
            yield _match(node)


def _match(node: ir.Node) -> CausalConvolution:
    image = _producer(node.inputs[0], "Unsqueeze", node)
    turned = _producer(image.inputs[0], "Transpose", node)
    window = turned.inputs[0]
    squeezed = _consumer(node.outputs[0], "Squeeze", node)
    back = _consumer(squeezed.outputs[0], "Transpose", node)
    if window is None or not _is_window(window) or node.attributes:
        raise PassRefusedError("a convolution is not one over the tokens before", _name(node))
    weight = node.inputs[1]
    if weight is None or not isinstance(weight.const_value, Parameter) or len(node.inputs) != 3:
        raise PassRefusedError("a convolution has no weight and bias of its own", _name(node))
    if weight.const_value.encoding is not None:
        raise PassRefusedError("a convolution's weight is quantized already", _name(node))
    between = (turned, image, node, squeezed, back)
    return CausalConvolution(node, window, back.outputs[0], between)


def _is_window(value: ir.Value) -> bool:
    joint = value.producer()
    if joint is None or joint.op_type != "Concat":
        return joint is not None and is_causal_padding(joint)
    return len(joint.inputs) == 2 and joint.attributes["axis"].value == 1


def _producer(value: ir.Value | None, kind: str, node: ir.Node) -> ir.Node:
    found = value.producer() if value is not None else None
    if found is None or found.op_type != kind or len(found.outputs[0].consumers()) != 1:
        raise PassRefusedError(f"a convolution does not read a {kind} of its own", _name(node))
    return found


def _consumer(value: ir.Value, kind: str, node: ir.Node) -> ir.Node:
    found = value.consumers()
    if len(found) != 1 or found[0].op_type != kind:
        raise PassRefusedError(f"a convolution does not feed a {kind} alone", _name(node))
    return found[0]


def _name(node: ir.Node) -> str:
    return str(node.name)
