"""The inputs of a product as ggml's kernels round them before they multiply.

The rules are those of ``quantize_row_q8_0``, ``quantize_row_q8_1`` (ggml-cpu/arch/arm/quants.c)
and ``quantize_row_q8_K_ref`` (ggml-quants.c); which type of weights meets which form of inputs is
in the table ``type_traits_cpu`` of ggml-cpu.c.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_IN_SUPER_BLOCKS = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs")
_WITH_SUMS = ("q4_1", "q5_1")
_PLAIN = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}


def rounded_inputs(encoding: str, inputs: Floats) -> Doubles:
    """Inputs ``[tokens, columns]`` as they meet weights of an encoding."""
    if encoding in _PLAIN:
        return inputs.astype(_PLAIN[encoding]).astype(np.float64)
    if encoding in _IN_SUPER_BLOCKS:
        x = inputs.reshape(len(inputs), -1, 256)
        farthest = np.abs(x).argmax(2)[..., None]
        inverse = np.float32(-127) / np.take_along_axis(x, farthest, 2)
        codes = np.minimum(np.rint(x * inverse), 127)
        return _scaled(codes, np.float32(1) / inverse, inputs)
    codes, scales = _codes_of_32(inputs)
    return _scaled(codes, scales.astype(np.float16), inputs)


def minima_times_sums(encoding: str, stored: bytes, rows: int, inputs: Floats) -> Doubles:
    """What products ``[tokens, rows]`` differ by, because kernels round the sum of each block of
    inputs to float16 before it meets the block's minimum: bytes 2 and 3 of its block.
    """
    if encoding not in _WITH_SUMS:
        return np.zeros((len(inputs), rows))
    codes, scales = _codes_of_32(inputs)
    total = codes.sum(2, keepdims=True, dtype=np.float32)
    exact = total.astype(np.float64) * scales.astype(np.float16)
    wrong = ((total * scales).astype(np.float16) - exact)[..., 0]
    blocks = np.frombuffer(stored, np.uint8).reshape(rows, wrong.shape[1], -1)
    minima = np.ascontiguousarray(blocks[..., 2:4]).view(np.float16)[..., 0]
    return wrong @ minima.astype(np.float64).T


def _codes_of_32(inputs: Floats) -> tuple[Floats, Floats]:
    """Codes ``[tokens, blocks, 32]`` of the inputs, and their float32 scales ``[..., 1]``."""
    x = inputs.reshape(len(inputs), -1, 32)
    scales = np.abs(x).max(2, keepdims=True) / np.float32(127)
    return np.rint(x * (np.float32(1) / scales)), scales


def _scaled(codes: Floats, scales: NDArray[np.floating], inputs: Floats) -> Doubles:
    doubles: Doubles = (codes.astype(np.float64) * scales).reshape(inputs.shape)
    return doubles
