"""Operators of torch that move elements about give in onnxruntime what torch gives."""

import pytest

from tests.support.imported import assert_same

pytestmark = pytest.mark.slow  # every test traces a program


def test_heads_are_cut_and_put_together_without_computed_shapes():
    def function(x, positions):
        batch, length, _ = x.shape
        heads = x.view(batch, length, 3, 4).transpose(1, 2)
        return heads.permute(0, 2, 1, 3).reshape(batch, length, -1)

    model = assert_same(function)
    assert not any(node.op_type in ("Shape", "Concat") for node in model.graph)


def test_axes_come_and_go():
    def function(x, positions):
        import torch

        y = x.unsqueeze(1).expand(-1, 2, -1, -1).sum(1).unsqueeze(0).squeeze(0)
        y = y + torch.stack([x, 2 * x], dim=-1).flatten(-2)[..., ::2]
        return y + x.repeat_interleave(2, dim=-1)[..., 1::2] + x.repeat(1, 1, 2)[..., 12:]

    assert_same(function)


def test_parts():
    def function(x, positions):
        import torch

        first, second = x.chunk(2, dim=-1)
        one, two, three = x.split([2, 4, 6], dim=-1)
        y = torch.cat([second, first, three, one, two, x[..., 12:]], dim=-1)
        a, b = x.view(*x.shape[:2], 6, 2).unbind(-1)
        return torch.cat([y, a, b, x.narrow(-1, 3, 2), x[:, :, 5:6], x.select(2, 0)[..., None]], -1)

    assert_same(function)


def test_padding_and_rolling():
    def function(x, positions):
        from torch.nn import functional as f

        return f.pad(x, (1, 2), value=0.5) + f.pad(x.roll(2, -1), (3, 0))

    assert_same(function)
