"""FP8 in a static program: the arithmetic of an FP8 matrix product that accumulates in float32.

Codes are float8_e4m3fn; a value is code times scale. A product of two codes is exact in float32,
so that products of codes cast to float32 are what hardware with such an accumulator computes, up
to the order of its sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CODES = torch.float8_e4m3fn
LARGEST_CODE = "largest_code"
"""Attribute: the magnitude at which codes saturate."""

_SMALLEST_SCALE = 2.0**-126


def linear_fp8(
    attributes: Mapping[str, Any],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    weight_scale: Tensor,
    input_scale: Tensor | None,
) -> Tensor:
    """``x Wᵀ + b`` in the dtype of ``x``, rounded once.

    Args:
        attributes: With `LARGEST_CODE`.
        x: ``[..., in]``.
        weight: Codes ``[out, in]``.
        bias: ``[out]``.
        weight_scale: float32 ``[out, 1]`` or ``[1]``.
        input_scale: float32 ``[1]``; None for a scale of each token's own.
    """
    largest = float(attributes[LARGEST_CODE])
    scale = _scale_of_tokens(x, largest) if input_scale is None else input_scale
    product = functional.linear(quantize(x, scale, largest).float(), weight.float())
    product = product * (scale * weight_scale.reshape(-1))
    if bias is not None:
        product = product + bias.float()
    return product.to(x.dtype)


def quantize(x: Tensor, scale: Tensor, largest: float) -> Tensor:
    """Codes of ``x / scale``, saturated at ``largest``."""
    return (x.float() / scale).clamp(-largest, largest).to(CODES)


def store(attributes: Mapping[str, Any], new: Tensor, scale: Tensor) -> Tensor:
    """What an FP8 cache holds of new keys or values."""
    return quantize(new, scale, float(attributes[LARGEST_CODE]))


def write(attributes: Mapping[str, Any], cache: Tensor, codes: Tensor, slots: Tensor) -> Tensor:
    """Write codes [B, H, S, D] into ``slots`` [S] of a cache [B, H, L, D], in place."""
    # index_copy_, which other caches are written with, is not there for FP8 on a CPU.
    written: Tensor = torch.ops.aten.index_put_(cache, [None, None, slots], codes)
    return written


def load(attributes: Mapping[str, Any], codes: Tensor, scale: Tensor, like: Tensor) -> Tensor:
    """Keys or values of an FP8 cache in the dtype of ``like``."""
    return (codes.float() * scale).to(like.dtype)


def _scale_of_tokens(x: Tensor, largest: float) -> Tensor:
    return (x.float().abs().amax(-1, keepdim=True) / largest).clamp_min(_SMALLEST_SCALE)
