"""AllReduce and AllGather as nodes of a static program: torch's functional collectives.

They name the default process group, so that a program runs wherever a launcher made one, over
whatever it made it: HCCL on cards, gloo on a CPU. Exporting needs no group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

DEFAULT_GROUP = "0"
"""Name of the group that ``torch.distributed.init_process_group`` makes: it is the first."""

_OPERATORS = torch.ops._c10d_functional

COLLECTIVES = frozenset(
    {
        _OPERATORS.all_reduce.default,
        _OPERATORS.all_gather_into_tensor.default,
        _OPERATORS.wait_tensor.default,
    }
)
"""What exchanges values between ranks and returns in the order of the device's own work."""


def all_reduce(attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    """The sum over the ranks, in the dtype of ``x``, the same bits on each."""
    summed = _OPERATORS.all_reduce(x.contiguous(), "sum", DEFAULT_GROUP)
    whole: Tensor = _OPERATORS.wait_tensor(summed)
    return whole


def all_gather(attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    """The ranks' parts joined along ``axis``, ``lengths[rank]`` of each.

    The collective gathers equal parts, so shorter ones are padded to the longest, by a length
    that is fixed in the program.
    """
    ranks, axis = attributes["group_size"], attributes["axis"]
    lengths = attributes.get("lengths") or [x.shape[axis]] * ranks
    missing = max(lengths) - x.shape[axis]
    if missing:
        x = functional.pad(x, [0, 0] * (x.dim() - 1 - axis) + [0, missing])
    gathered = _OPERATORS.all_gather_into_tensor(x.contiguous(), ranks, DEFAULT_GROUP)
    whole = _OPERATORS.wait_tensor(gathered).reshape(ranks, *x.shape)
    parts = [whole[rank].narrow(axis, 0, length) for rank, length in enumerate(lengths)]
    return torch.cat(parts, axis)
