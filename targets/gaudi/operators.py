"""The operator table: ONNX operators of a static decoder graph as torch functions.

Each entry takes the node's attributes and its inputs (None where one is left out). Shapes and
axes are constants of the graph and come as tuples of ints, so nothing is read back from a
device. Floating-point arithmetic follows transformers: statistics of norms and softmax in
float32, everything else in the dtype of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]

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
    wide = x.float()
    variance = wide.square().mean(-1, keepdim=True)
    return scale * (wide * torch.rsqrt(variance + attributes.get("epsilon", 1e-5))).to(x.dtype)


def _rotary_embedding(attributes: Attributes, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Shapes: x [B, H, S, D]; cos, sin [B, S, D/2]; half-rotation."""
    cos, sin = cos.to(x.dtype).unsqueeze(1), sin.to(x.dtype).unsqueeze(1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _attention(attributes: Attributes, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Shapes: q [B, H, S, D]; k, v [B, kv_heads, T, D]; mask bool, broadcast to [B, H, S, T]."""
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


def _tensor_scatter(
    attributes: Attributes, cache: Tensor, update: Tensor, write_indices: Tensor
) -> Tensor:
    """Write ``update`` [B, H, S, D] into ``cache`` [B, H, L, D] in place.

    The static cache gives every row of the batch the same position, so the first stands for all.
    """
    axis = attributes.get("axis", -2)
    tokens = torch.arange(update.shape[axis], device=update.device)
    return cache.index_copy_(axis, write_indices[:1] + tokens, update)


def _gather_nd(attributes: Attributes, data: Tensor, indices: Tensor) -> Tensor:
    """Rows of each batch entry: data [B, T, C], indices [B, n, 1], with ``batch_dims`` 1."""
    return data.gather(1, indices.expand(-1, -1, data.shape[2]))


def _reduce_max(attributes: Attributes, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return x.amax(axes, keepdim=bool(attributes.get("keepdims", 1)))


def _conv(attributes: Attributes, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv2d(image, weight, bias)


def _elementwise(function: Callable[..., Tensor]) -> Operator:
    return lambda attributes, *inputs: function(*inputs)


OPERATORS: dict[str, Operator] = {
    "Add": _elementwise(torch.add),
    "And": _elementwise(torch.logical_and),
    "Attention": _attention,
    "Cast": _cast,
    "Concat": _concat,
    "Conv": _conv,
    "Cos": _elementwise(torch.cos),
    "Equal": _elementwise(torch.eq),
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Greater": _elementwise(torch.gt),
    "GreaterOrEqual": _elementwise(torch.ge),
    "Identity": _elementwise(lambda x: x),
    "Less": _elementwise(torch.lt),
    "LessOrEqual": _elementwise(torch.le),
    "MatMul": _matmul,
    "Mul": _elementwise(torch.mul),
    "Not": _elementwise(torch.logical_not),
    "Or": _elementwise(torch.logical_or),
    "RMSNormalization": _rms_normalization,
    "ReduceMax": _reduce_max,
    "Reshape": _reshape,
    "RotaryEmbedding": _rotary_embedding,
    "Sigmoid": _elementwise(torch.sigmoid),
    "Sin": _elementwise(torch.sin),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _elementwise(torch.sub),
    "Swish": _elementwise(functional.silu),
    "TensorScatter": _tensor_scatter,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

STATIC_INPUTS: dict[str, tuple[int, ...]] = {
    "Expand": (1,),
    "ReduceMax": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
"""Positions of the inputs that an operator takes as ints."""
