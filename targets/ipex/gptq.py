"""Linear layers of 4 bits as GPTQ checkpoints have them, version 1 of the format.

A layer ``M`` with weights ``[out, in]`` in groups of ``G`` has

- ``M.qweight``, int32 ``[in / 8, out]``: eight codes from 0 to 15 of one row, the first lowest;
- ``M.scales``, float16 ``[in / G, out]``;
- ``M.qzeros``, int32 ``[in / G, out / 8]``: eight zero points, each less 1, which is version 1;
- ``M.g_idx``, int32 ``[in]``: the group of each column. It says nothing without ``desc_act``, but
  GPTQModel's layers have it.

A weight is ``scale * (code - zero point)``. IPEX 2.8 (utils/weight_only_quantization.py) takes
``desc_act`` false to mean that groups follow each other, 4 bits only, and rounds the group size up
to a power of two; vLLM on the CPU takes symmetric codes alone, whose zero point is 8. The scale may
be negative, as AutoRound's are: symmetric codes reach -8 but 7, so the larger end gets the -8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from convert.errors import UnsupportedEncodingError
from convert.parameter import Parameter
from passes.encodings.integers import IntegerEncoding
from targets.base import Columns
from targets.checkpoint_tensors import FilledTensor
from targets.safetensors_layout import StoredTensor

CODES_IN_WORD = 8

_SIGN_BITS = 0x88
"""Inverting the sign bit of a signed 4-bit code adds 8."""

_ZERO_POINTS = 0x77
"""Two zero points of 8, less 1."""


def gptq_layer(
    module: str, parameter: Parameter, encoding: IntegerEncoding
) -> tuple[tuple[StoredTensor, ...], FilledTensor]:
    """The tensors of a layer, and what fills them.

    Args:
        module: Its name.
        parameter: Its weight.
        encoding: Signed 4-bit codes in groups.

    Raises:
        UnsupportedEncodingError: Zero points of its rows do not fill words.
    """
    rows, columns = parameter.weight.rows, parameter.weight.columns
    if rows % CODES_IN_WORD or columns % CODES_IN_WORD or encoding.group is None:
        raise UnsupportedEncodingError(
            f"GPTQ cannot store {parameter.weight.name!r}",
            expected=f"rows and columns in multiples of {CODES_IN_WORD}",
            found=f"{rows} rows of {columns} weights",
            remedy="override this tensor with bf16",
        )
    words, groups = columns // CODES_IN_WORD, columns // encoding.group
    zero_points = groups * rows // 2
    codes, scales = f"{module}.qweight", f"{module}.scales"
    tensors = (
        StoredTensor(codes, "I32", (words, rows), rows * columns // 2),
        StoredTensor(
            f"{module}.qzeros",
            "I32",
            (groups, rows // CODES_IN_WORD),
            zero_points,
            _zero_points(zero_points),
        ),
        StoredTensor(scales, "F16", (groups, rows), 2 * groups * rows),
        StoredTensor(
            f"{module}.g_idx", "I32", (columns,), 4 * columns, _groups(columns, encoding.group)
        ),
    )
    places = {codes: Columns(4, _SIGN_BITS), scales: Columns(2)}
    return tensors, FilledTensor(parameter, encoding, (codes, scales), places)


def gptq_config(group: int, plain: Sequence[str]) -> dict[str, Any]:
    """What config.json has under ``quantization_config``.

    Args:
        group: Weights that share a scale.
        plain: Modules of linear layers that are not quantized, the head left out.
    """
    config: dict[str, Any] = {
        "quant_method": "gptq",
        "checkpoint_format": "gptq",
        "pack_dtype": "int32",
        "bits": 4,
        "group_size": group,
        "sym": True,
        "desc_act": False,
        "lm_head": False,
    }
    if plain:
        # How GPTQModel, vLLM and sglang write that a module is left as it is.
        config["dynamic"] = {f"-:^{re.escape(module)}$": {} for module in plain}
    return config


@cache
def _zero_points(size: int) -> bytes:
    """Layers of one size share theirs, so that those of a large model take no memory."""
    return bytes([_ZERO_POINTS]) * size


@cache
def _groups(columns: int, group: int) -> bytes:
    return (np.arange(columns, dtype="<i4") // group).astype("<i4").tobytes()
