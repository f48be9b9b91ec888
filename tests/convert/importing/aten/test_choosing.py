"""Operators that routers choose with give in onnxruntime what torch gives."""

import pytest

from convert.importing.aten import choosing, experts
from tests.support.imported import assert_same


@pytest.mark.slow
def test_order_extremes_and_scattering():
    def function(x, positions):
        import torch

        y, places = x.sort(dim=-1, descending=True)
        y = y + x.argsort(dim=-1, stable=True) + places
        most, at = x.max(dim=-1, keepdim=True)
        least, first = x.min(dim=-1)
        y = y + most + at + (least + first).unsqueeze(-1)
        chosen = x.topk(3, dim=-1)[1]
        y = y + torch.zeros_like(x).scatter_(-1, chosen, 1.0)
        y = y + torch.zeros_like(x).scatter(-1, chosen, x.gather(-1, chosen))
        return y + torch.zeros_like(x).scatter_add(-1, chosen, x[..., :3])

    assert_same(function)


@pytest.mark.slow
def test_rows_added_at_places():
    def function(x, positions):
        import torch

        rows = x.reshape(-1, x.shape[-1])
        places = torch.zeros_like(rows[:, 0]).to(torch.int64)
        total = torch.zeros_like(rows).index_add(0, places, rows)
        return total.reshape(x.shape)

    assert_same(function)


def test_operators_are_named_once():
    assert not choosing.CHOOSING.keys() & experts.EXPERTS.keys()
