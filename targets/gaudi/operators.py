"""The operator table: ONNX operators of a static decoder graph as torch functions.

Each entry takes the node's attributes and its inputs (None where one is left out). Shapes and
axes are constants of the graph and come as tuples of ints, so nothing is read back from a
device. Floating-point arithmetic follows transformers: statistics of norms and softmax in
float32, everything else in the dtype of the activations. Masks of numbers are computed in
float32 and cast where attention reads them. Nothing names a device, so that a program made of
these functions runs on whichever its arguments are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from convert.errors import PassRefusedError
from targets.gaudi.collectives import all_gather, all_reduce

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor | tuple[Tensor, ...]]

TORCH_DTYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""By the number of an ONNX data type."""


def _rms_normalization(attributes: Attributes, x: Tensor, scale: Tensor) -> Tensor:
    return functional.rms_norm(x, scale.shape, scale, attributes.get("epsilon", 1e-5))


def _layer_normalization(
    attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    shape = x.shape[attributes.get("axis", -1) :]
    return functional.layer_norm(x, shape, scale, bias, attributes.get("epsilon", 1e-5))


def _gelu(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=attributes.get("approximate", "none"))


def angles_for(attributes: Attributes, angles: Tensor, x: Tensor) -> Tensor:
    """Cosines or sines [B, S, D/2] for every head of x [B, H, S, D], in its dtype."""
    return angles.to(x.dtype).unsqueeze(1)


def _rotary_embedding(attributes: Attributes, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Shapes: x [B, H, S, D]; cos, sin [B, S, D/2], or from `angles_for`; half-rotation."""
    if cos.dim() != x.dim():
        cos, sin = angles_for({}, cos, x), angles_for({}, sin, x)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _attention(attributes: Attributes, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Shapes: q [B, H, S, D]; k, v [B, kv_heads, T, D]; mask broadcast to [B, H, S, T]."""
    if mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=attributes.get("scale"), enable_gqa=True
    )


def _matmul(attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


def _gather(attributes: Attributes, data: Tensor, indices: Tensor) -> Tensor:
    axis = attributes.get("axis", 0)
    picked = data.index_select(axis, indices.reshape(-1))
    return picked.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


def _transpose(attributes: Attributes, x: Tensor) -> Tensor:
    return x.permute(attributes["perm"])


def _reshape(attributes: Attributes, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if attributes.get("allowzero", 0):
        return x.reshape(shape)
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _expand(attributes: Attributes, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x.expand(np.broadcast_shapes(tuple(x.shape), shape))


def _unsqueeze(attributes: Attributes, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(attributes: Attributes, x: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(axes)


def _slice(
    attributes: Attributes,
    x: Tensor,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None = None,
    steps: tuple[int, ...] | None = None,
) -> Tensor:
    cuts = [slice(None)] * x.dim()
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[number] if axes else number
        cuts[axis] = slice(start, end, steps[number] if steps else 1)
    return x[tuple(cuts)]


def _cast(attributes: Attributes, x: Tensor) -> Tensor:
    return x.to(TORCH_DTYPES[attributes["to"]])


def _concat(attributes: Attributes, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=attributes["axis"])


def _split(
    attributes: Attributes, x: Tensor, sizes: tuple[int, ...] | None = None
) -> tuple[Tensor, ...]:
    """Equal parts (the last may be shorter), or parts of ``sizes``."""
    axis = attributes.get("axis", 0)
    if sizes is not None:
        return torch.split(x, list(sizes), axis)
    return torch.split(x, -(-x.shape[axis] // attributes["num_outputs"]), axis)


def _tensor_scatter(attributes: Attributes, cache: Tensor, update: Tensor, slots: Tensor) -> Tensor:
    """Write ``update`` [B, H, S, D] into ``slots`` [S] of ``cache`` [B, H, L, D], in place.

    ONNX gives the first slot of each row of the batch. Those of a static cache are all the same,
    so that what the lowering passes is where the new tokens of any row sit.
    """
    return cache.index_copy_(attributes.get("axis", -2), slots, update)


def _gather_nd(attributes: Attributes, data: Tensor, indices: Tensor) -> Tensor:
    """Rows of each batch entry: data [B, T, C], indices [B, n, 1], with ``batch_dims`` 1."""
    return data.gather(1, indices.expand(-1, -1, data.shape[2]))


def _reduce_max(attributes: Attributes, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.amax(axes, keepdim=bool(attributes.get("keepdims", 1)))


def _conv(attributes: Attributes, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv2d(image, weight, bias)


def _mul(attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    """Activations stay in their dtype where a float32 mask over tokens multiplies them."""
    if a.dtype != b.dtype:
        narrow = a.dtype if b.dtype == torch.float32 else b.dtype
        a, b = a.to(narrow), b.to(narrow)
    return torch.mul(a, b)


def _elementwise(function: Callable[..., Tensor]) -> Operator:
    return lambda attributes, *inputs: function(*inputs)


OPERATORS: dict[str, Operator] = {
    "Add": _elementwise(torch.add),
    "AllGather": all_gather,
    "AllReduce": all_reduce,
    "And": _elementwise(torch.logical_and),
    "Attention": _attention,
    "Cast": _cast,
    "Concat": _concat,
    "Conv": _conv,
    "Cos": _elementwise(torch.cos),
    "Div": _elementwise(torch.div),
    "Equal": _elementwise(torch.eq),
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Greater": _elementwise(torch.gt),
    "GreaterOrEqual": _elementwise(torch.ge),
    "Identity": _elementwise(lambda x: x),
    "LayerNormalization": _layer_normalization,
    "Less": _elementwise(torch.lt),
    "LessOrEqual": _elementwise(torch.le),
    "MatMul": _matmul,
    "Mul": _mul,
    "Neg": _elementwise(torch.neg),
    "Not": _elementwise(torch.logical_not),
    "Or": _elementwise(torch.logical_or),
    "RMSNormalization": _rms_normalization,
    "ReduceMax": _reduce_max,
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary_embedding,
    "Sigmoid": _elementwise(torch.sigmoid),
    "Sin": _elementwise(torch.sin),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _elementwise(torch.sub),
    "Swish": _elementwise(functional.silu),
    "TensorScatter": _tensor_scatter,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _elementwise(torch.where),
}

STATIC_INPUTS: dict[str, tuple[int, ...]] = {
    "Expand": (1,),
    "ReduceMax": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
"""Positions of the inputs that an operator takes as ints."""


def operator_of(node: ir.Node) -> Operator:
    """The function of a node.

    Raises:
        PassRefusedError: There is none.
    """
    if node.op_type not in OPERATORS:
        raise PassRefusedError(f"{node.op_type} has no lowering to torch", node.name or "")
    return OPERATORS[node.op_type]
