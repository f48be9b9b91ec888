"""Operators of torch that treat each element by itself give in onnxruntime what torch gives."""

import pytest

from tests.support.imported import assert_same

pytestmark = pytest.mark.slow  # every test traces a program


def test_arithmetic_in_the_type_of_its_result():
    def function(x, positions):
        counted = positions.unsqueeze(-1)
        y = (x + counted).sub(2 * x, alpha=0.5) * 3 - 1
        y = y / 7 + (1 - x) + x**2 + x.abs() ** 0.5 + (x * x + 1) ** -0.5 + 2**x
        return y + (counted // 3) + (counted % 4) + counted.add(counted, alpha=2) / 2

    assert_same(function)


def test_functions_of_one_operand():
    def function(x, positions):
        import torch
        from torch.nn import functional as f

        y = f.silu(x) + f.gelu(x) + f.gelu(x, approximate="tanh") + f.relu(x) + torch.tanh(x)
        y = y + torch.sigmoid(x) + x.exp() + (x.abs() + 1).log() + x.sin() + x.cos() + torch.erf(x)
        y = y + torch.rsqrt(x.square() + 1) + f.softplus(x) + f.leaky_relu(x, 0.2) + torch.expm1(x)
        return y + torch.log1p(x.abs()) + x.floor() + x.sign() + (x * x + 1).reciprocal() - x

    assert_same(function)


def test_comparisons_and_choices():
    def function(x, positions):
        import torch

        even = (positions % 2 == 0).unsqueeze(-1)
        other = (x > 0.5) | (x <= -0.5) & ~(x == 0) & (x != 1)
        y = torch.where(even & other, x, 0.25).masked_fill(x < -1, float("-inf")).clamp(-2, 0.75)
        return y + torch.maximum(x, -x) + torch.minimum(x, 2 * x) + x.clamp(min=0) + (x >= 0)

    assert_same(function)


def test_writing_in_place_is_seen_by_all_that_read_later():
    def function(x, positions):
        y = x * 1.5
        y.add_(1).mul_(2)
        return y

    assert_same(function)
