"""Collectives are nodes of an exported program, and the audit lets them through, no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from convert.errors import GraphCaptureError
from targets.gaudi.audit import audit
from targets.gaudi.collectives import DEFAULT_GROUP, all_gather, all_reduce

OPERATORS = torch.ops._c10d_functional


class Exchanging(nn.Module):
    """Writes what it computes into a cache."""

    def __init__(self, exchange):
        super().__init__()
        self.exchange = exchange

    def forward(self, x, caches):
        y = self.exchange(x)
        caches["cache"].copy_(y)
        return y


def exported(exchange, size, result):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(size, dtype=torch.bfloat16)
        cache = torch.empty(result, dtype=torch.bfloat16)
        return torch.export.export(Exchanging(exchange), (x, {"cache": cache}))


def test_a_sum_keeps_shape_and_dtype():
    program = exported(lambda x: all_reduce({"group_size": 2}, x), (2, 3), (2, 3))
    audit(program)
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets[:2] == [OPERATORS.all_reduce.default, OPERATORS.wait_tensor.default]


@pytest.mark.parametrize("lengths", [None, (2, 5, 4)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_parts_of_any_length_are_joined(axis, lengths):
    size, result = [3, 6, 7], [3, 6, 7]
    size[axis] = 2
    result[axis] = sum(lengths or (2, 2, 2))
    attributes = {"group_size": 3, "axis": axis} | ({"lengths": lengths} if lengths else {})
    audit(exported(lambda x: all_gather(attributes, x), size, result))


def test_another_exchange_is_refused():
    def scatter(x):
        part = OPERATORS.reduce_scatter_tensor(x, "sum", 2, DEFAULT_GROUP)
        return OPERATORS.wait_tensor(part)

    with pytest.raises(GraphCaptureError, match="not one of torch's"):
        audit(exported(scatter, (2, 3), (1, 3)))


PROGRAM = """
import hashlib, os, sys
from pathlib import Path
import torch
from targets.gaudi.collectives import all_gather, all_reduce
from targets.ranks.exchange import GlooExchange

rank = int(sys.argv[1])
exchange = GlooExchange(rank, 3, Path(sys.argv[2]))
torch.manual_seed(rank)
x = torch.randn(3, 17, 5).to(torch.bfloat16)
torch.manual_seed(0)
total = x.float().clone() * 0
for other in range(3):
    torch.manual_seed(other)
    total += torch.randn(3, 17, 5).to(torch.bfloat16).float()
summed = all_reduce({"group_size": 3}, x)
assert summed.dtype is torch.bfloat16
assert (summed.float() - total).abs().max() <= 2**-7 * total.abs().max()
lengths, own = (2, 5, 4), torch.full((3, 7, (2, 5, 4)[rank]), rank)
whole = all_gather({"group_size": 3, "axis": 2, "lengths": lengths}, own.to(torch.bfloat16))
assert whole[1, 2].tolist() == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
print(hashlib.sha256(summed.view(torch.uint8).numpy().tobytes()).hexdigest())
exchange.close()
"""


def test_over_gloo_every_rank_gets_the_same_bits(tmp_path):
    command = [sys.executable, "-c", PROGRAM]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store")],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], outputs
    assert len({printed for printed, _ in outputs}) == 1
