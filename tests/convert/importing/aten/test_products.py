"""Products, sums and norms of torch give in onnxruntime what torch gives."""

import numpy as np
import pytest

from convert.errors import UnsupportedArchitectureError
from convert.importing.raising.tidying import Tidy
from tests.support.imported import VOCAB, assert_same, formula, plain_feed
from tests.support.ort import OrtGraph

pytestmark = pytest.mark.slow  # every test traces a program


def test_an_operator_without_a_form_is_named():
    def function(x, positions):
        import torch

        return x * torch.linspace(-1, 1, 12, device=x.device)

    with pytest.raises(UnsupportedArchitectureError, match="no form") as refused:
        formula(function)
    assert "aten.linspace.default" in str(refused.value)


def test_products():
    def function(x, positions):
        import torch

        table = torch.arange(144, dtype=torch.float32, device=x.device).view(12, 12) / 144
        flat = x.reshape(-1, 12)
        y = torch.addmm(table[0], flat, table).view(x.shape) + x @ table
        scores = torch.baddbmm(x.new_ones(1, 1, 1), x, x.transpose(1, 2), beta=0.5, alpha=0.25)
        return y + scores @ x + torch.einsum("bsi,ij->bsj", x, table)

    assert_same(function)


def test_deviations_and_thresholds():
    def function(x, positions):
        import torch

        share = torch.full((), 0.9, device=x.device).erfinv() * 2**0.5
        edge = x.mean(-1, keepdim=True) + share * x.std(-1, keepdim=True, unbiased=False)
        first, second = torch.broadcast_tensors(edge, x)
        return torch.where((x < 100).all(), (second - first).relu(), x)

    model, call = formula(function)
    Tidy()(model)
    ids = np.random.default_rng(1).integers(0, VOCAB, (2, 5))
    found = OrtGraph(model)(**plain_feed(ids))["logits"]
    np.testing.assert_allclose(found, call(ids), rtol=1e-5, atol=1e-6)


def test_norms_and_sums():
    def function(x, positions):
        from torch.nn import functional as f

        y = f.layer_norm(x, (12,)) + f.rms_norm(x, (12,), eps=1e-5) + f.softmax(x, -1)
        y = y + x.mean(-1, keepdim=True) + x.sum(-1).unsqueeze(-1) + x.amax(-1, keepdim=True)
        return y + x.var(-1, keepdim=True, unbiased=False) + x.norm(dim=-1, keepdim=True)

    assert_same(function)


def test_convolutions():
    def function(x, positions):
        from torch.nn import functional as f

        kernel = x.new_ones(12, 1, 3) / 3
        return f.conv1d(x.transpose(1, 2), kernel, padding=1, groups=12).transpose(1, 2)

    assert_same(function)
