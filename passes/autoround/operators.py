"""The standard operators that architectures are written in, in torch: gradients flow through them.

Inputs that texts decide are tensors; others are arrays, of which integers say how to cut.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch.nn import functional

from convert.errors import UnsupportedError

Operator = Callable[..., Any]


def tensor(value: Any) -> Any:
    """A value as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def _both(function: Operator) -> Operator:
    """An operator of one or two tensors."""

    def run(*inputs: Any) -> Any:
        return function(*map(tensor, inputs))

    return run


def _attention(q: Any, k: Any, v: Any, mask: Any = None, *, scale: float) -> Any:
    shared = q.shape[1] // k.shape[1]
    k, v = (each.repeat_interleave(shared, 1) if shared > 1 else each for each in (k, v))
    given = None if mask is None else tensor(mask)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=given, scale=scale)


def _cast(x: Any, *, to: int) -> Any:
    return tensor(x).to(tensor(np.zeros(0, ir.DataType(to).numpy())).dtype)


def _concat(*parts: Any, axis: int) -> Any:
    return torch.cat([tensor(part) for part in parts], axis)


def _gather(table: Any, indices: Any, *, axis: int = 0) -> Any:
    chosen, places = tensor(table), tensor(indices)
    shape = (*chosen.shape[:axis], *places.shape, *chosen.shape[axis:][1:])
    return chosen.index_select(axis, places.reshape(-1)).reshape(shape)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return functional.gelu(x, approximate=approximate)


def _layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: int, epsilon: float) -> Any:
    centred = x - x.mean(axis, keepdim=True)
    spread = torch.rsqrt((centred * centred).mean(axis, keepdim=True) + epsilon)
    normed = centred * spread * tensor(scale)
    return normed if bias is None else normed + tensor(bias)


def _pad(x: Any, pads: Any) -> Any:
    """With zeros. Torch begins with the last axis."""
    before, after = np.split(pads, 2)
    turned = [int(n) for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    return functional.pad(x, turned)


def _reshape(x: Any, shape: Any) -> Any:
    """A length of 0 keeps that of the input, as ONNX has it."""
    return x.reshape([int(n) or x.shape[axis] for axis, n in enumerate(shape)])


def _rms_norm(x: Any, scale: Any, *, axis: int, epsilon: float) -> Any:
    return x * torch.rsqrt((x * x).mean(axis, keepdim=True) + epsilon) * tensor(scale)


def _rotary(x: Any, cos: Any, sin: Any) -> Any:
    """Halves of ``x [B, H, S, D]`` turned by the angles of ``cos, sin [B, S, D/2]``."""
    left, right = x.chunk(2, -1)
    cos, sin = tensor(cos)[:, None], tensor(sin)[:, None]
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


def _split(x: Any, sizes: Any = None, *, axis: int, num_outputs: int = 1) -> Any:
    if sizes is None:
        return x.split(-(-x.shape[axis] // num_outputs), axis)
    return x.split([int(size) for size in sizes], axis)


def _squeeze(x: Any, axes: Any) -> Any:
    return x.squeeze([int(axis) for axis in axes])


def _transpose(x: Any, *, perm: tuple[int, ...]) -> Any:
    return x.permute(*perm)


def _unsqueeze(x: Any, axes: Any) -> Any:
    for axis in sorted(int(axis) for axis in axes):
        x = x.unsqueeze(axis)
    return x


OPERATORS: Mapping[str, Operator] = {
    "Add": _both(torch.add),
    "Attention": _attention,
    "Cast": _cast,
    "Concat": _concat,
    "Div": _both(torch.div),
    "Gather": _gather,
    "Gelu": _gelu,
    "LayerNormalization": _layer_norm,
    "MatMul": _both(torch.matmul),
    "Mul": _both(torch.mul),
    "Neg": _both(torch.neg),
    "Pad": _pad,
    "RMSNormalization": _rms_norm,
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary,
    "Sigmoid": _both(torch.sigmoid),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _both(torch.sub),
    "Tanh": _both(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _both(torch.where),
}
"""By their names in the standard; attributes are keyword arguments."""


def operator_of(node: ir.Node) -> Callable[..., tuple[Any, ...]]:
    """What computes the outputs of a node from its inputs (None where one is left out).

    Raises:
        UnsupportedError: There is no entry for the operator, or an attribute is unknown to it.
    """
    function = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    known = set() if function is None else _attribute_names(function)
    if function is None or attributes.keys() - known:
        raise UnsupportedError(
            f"autoround cannot run {node.op_type}",
            expected=f"one of {', '.join(OPERATORS)}",
            found=f"node {node.name!r}, attributes {sorted(attributes)}",
            remedy="choose gptq, or add it to passes/autoround/operators.py",
        )

    def run(*inputs: Any) -> tuple[Any, ...]:
        result = function(*inputs, **attributes)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    return run


def _attribute_names(function: Operator) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
