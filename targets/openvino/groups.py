"""Group sizes that the runtime multiplies correctly: powers of two, and no others.

Found by comparing one compressed FullyConnected with numpy (OpenVINO 2026.4.1, x86 with and
without AMX instructions): with groups of 16, 32, 64, 128 and 256 it agrees, for one row of
activations as for many. With groups of 40, 48, 56, 72, 80, 96, 112, 160, 192 and 224 the kernels
for one to three rows, the ones that generate, give wrong numbers without a word.
"""

from __future__ import annotations

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from convert.parameter import Parameter
from passes.encodings import encoding
from passes.encodings.base import Encoding

SMALLEST = 16


def use_safe_groups(model: ir.Model) -> None:
    """Replace the group of every fallback by the largest safe one that divides the rows.

    Raises:
        UnsupportedEncodingError: A group that was asked for is not safe, or none divides.
    """
    for name, parameter in parameters(model).items():
        asked = parameter.encoding
        if asked is None or _is_safe(asked, parameter.weight.columns):
            continue
        chosen = _safe_kin(asked, parameter.weight.columns)
        if parameter.fallback is None or chosen is None:
            raise UnsupportedEncodingError(
                f"OpenVINO computes wrong products with {name!r} as {asked.name}",
                expected="a group size that is a power of two",
                found=f"groups of {_group(asked, parameter.weight.columns)}",
                remedy="override this tensor with int8, or ask for "
                f"{chosen.name if chosen else 'another encoding'}",
            )
        value = model.graph.initializers[name]
        value.const_value = Parameter(parameter.weight, chosen, parameter.fallback)


def _group(encoding: Encoding, columns: int) -> int | None:
    """Weights that share a scale, where a row has more than one scale."""
    planes = {plane.name: plane for plane in encoding.planes(columns)}
    if "scales" not in planes or planes["scales"].row_shape in ((1,), (1, 1)):
        return None
    return planes["codes"].row_shape[-1]


def _is_safe(encoding: Encoding, columns: int) -> bool:
    group = _group(encoding, columns)
    return group is None or (group >= SMALLEST and group & (group - 1) == 0)


def _safe_kin(asked: Encoding, columns: int) -> Encoding | None:
    group = _group(asked, columns)
    assert group is not None
    power = 1 << (group.bit_length() - 1)
    while power >= SMALLEST and columns % power:
        power //= 2
    return encoding(f"{asked.family}_g{power}") if power >= SMALLEST else None
