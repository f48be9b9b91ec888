"""Yuan in plain torch: causal, nothing before the first token, and weights where they belong."""

from __future__ import annotations

import pytest
import torch

from tests.support.models import random_ids, small_model


@pytest.fixture(scope="module")
def model():
    return small_model("yuan").torch_model


def test_a_token_changes_nothing_before_it(model):
    ids = torch.from_numpy(random_ids(1, 9, 101))
    other = ids.clone()
    other[0, 5] = (ids[0, 5] + 1) % 101
    with torch.no_grad():
        left, right = model(ids).logits[0], model(other).logits[0]
    assert torch.equal(left[:5], right[:5])
    assert not torch.isclose(left[5], right[5]).any()


def test_conv2_sees_zeros_and_not_conv1s_bias_before_the_first_token(model):
    gate = model.model.layers[0].self_attn.lf_gate
    x = torch.randn(1, 1, 48)
    with torch.no_grad():
        inner = x[0, 0] @ gate.conv1.weight[:, :, 1, 0].T + gate.conv1.bias
        outer = inner @ gate.conv2.weight[:, :, 1, 0].T + gate.conv2.bias
        expected = gate.output_layernorm(outer + x[0, 0])
        torch.testing.assert_close(gate(x)[0, 0], expected)


def test_loss_is_the_mean_surprise_of_the_next_tokens(model):
    ids = torch.from_numpy(random_ids(2, 5, 101))
    with torch.no_grad():
        out = model(ids, labels=ids)
    chances = out.logits[:, :-1].log_softmax(-1)
    expected = -chances.gather(-1, ids[:, 1:, None]).mean()
    torch.testing.assert_close(out.loss, expected)
