"""Operators of torch that look up or make tensors give in onnxruntime what torch gives."""

import pytest

from tests.support.imported import assert_same

pytestmark = pytest.mark.slow  # every test traces a program


def test_looking_up_rows():
    def function(x, positions):
        import torch

        table = torch.arange(60, dtype=torch.float32, device=x.device).view(20, 3)
        rows = table[positions]
        picked = x.gather(2, (positions % 12).unsqueeze(-1))
        pair = x.transpose(0, 2)[positions[0] % 12].transpose(0, 2)
        return torch.cat(
            [rows, picked, pair.sum(2, keepdim=True), x.index_select(2, positions[0, :1])], -1
        )

    assert_same(function)


def test_tensors_out_of_nothing():
    def function(x, positions):
        import torch

        length = x.shape[1]
        steps = torch.arange(length, device=x.device)
        causal = torch.full((length, length), -1.0, device=x.device).triu(1)
        causal = causal + torch.ones_like(causal).tril()
        seen = causal.sum(-1).unsqueeze(-1) + steps.cumsum(0).unsqueeze(-1)
        return x + seen + torch.zeros_like(x) + x.new_ones(12) + positions.cumsum(1)[..., None]

    assert_same(function)


def test_the_largest():
    def function(x, positions):
        values, indices = x.topk(3, dim=-1)
        return values + indices

    assert_same(function)
