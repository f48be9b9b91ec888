"""Attention that a model wrote out becomes one operator, and computes the same in onnxruntime."""

import numpy as np
import pytest

from convert.importing.raising.attention import RaiseAttention
from convert.importing.raising.cached_heads import cached_heads
from convert.importing.raising.scores import is_forbidden, scores_of
from convert.importing.raising.tidying import Tidy
from convert.importing.raising.written_masks import RaiseMasks
from convert.importing.traced_cache import register_cached
from tests.support.imported import VOCAB, formula, plain_feed
from tests.support.ort import OrtGraph

HEADS, SIZE = 4, 6
LOWEST = -3.4e38

slow = pytest.mark.slow  # each traces a program


def remembered(x):
    """What comes out of a cache that was empty."""
    import torch

    register_cached()
    return torch.ops.tricast.cached(x, x.shape[2]) if x.device.type == "meta" else x


def heads_of(x, count=HEADS):
    return x[..., : count * SIZE].reshape(*x.shape[:2], count, SIZE).transpose(1, 2)


def ahead(x):
    """True where a key comes after the query."""
    import torch

    ones = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
    return ones.triu(1)[None, None]


def mask_of(x):
    return (x.new_zeros(()) + 0.0).masked_fill(ahead(x), LOWEST)


def joined(mixed):
    return mixed.transpose(1, 2).flatten(2)


def added(x, positions):
    k, v = remembered(heads_of(x.sin())), remembered(heads_of(x.cos()))
    scores = heads_of(x) @ k.transpose(-1, -2) * 0.3 + mask_of(x)
    return joined(scores.softmax(-1) @ v)


def chosen(x, positions):
    """Bool in place of numbers, keys scaled, probabilities through other shapes."""
    k, v = remembered(heads_of(x.sin()) / 2), remembered(heads_of(x.cos()))
    scores = (heads_of(x) @ (k / 3).transpose(-1, -2)).masked_fill(ahead(x), LOWEST)
    return joined(scores.softmax(-1) @ v * 1.0)


def batches_of_heads(x, positions):
    """Batch and heads are one axis, with biases by place."""
    import torch

    def one_axis(y):
        return y.reshape(-1, *y.shape[2:])

    k, v = remembered(heads_of(x.sin())), remembered(heads_of(x.cos()))
    slopes = torch.tensor([0.1, 0.2, 0.3, 0.4]) if x.device.type != "meta" else None
    slopes = 0.1 * (1 + torch.arange(HEADS, device=x.device)) if slopes is None else slopes
    biases = (slopes[None, :, None] * positions[:, None, :]).reshape(-1, 1, positions.shape[1])
    scores = biases.baddbmm(one_axis(heads_of(x)), one_axis(k).transpose(1, 2), alpha=0.4)
    scores = scores.view(x.shape[0], HEADS, x.shape[1], -1) + mask_of(x)
    shares = scores.softmax(-1).view(-1, x.shape[1], x.shape[1])
    mixed = torch.bmm(shares, one_axis(v)).view(x.shape[0], HEADS, x.shape[1], SIZE)
    return joined(mixed)


def groups(x, positions):
    """Fewer keys than queries, each repeated."""
    k, v = remembered(heads_of(x.sin(), 2)), remembered(heads_of(x.cos(), 2))

    def wide(y):
        return y[:, :, None].expand(-1, -1, 2, -1, -1).reshape(y.shape[0], HEADS, -1, SIZE)

    scores = heads_of(x) @ wide(k).transpose(-1, -2) + mask_of(x)
    return joined(scores.softmax(-1) @ wide(v))


def one_key(x, positions):
    """One head of keys for all, broadcast."""
    k, v = remembered(heads_of(x.sin(), 1)), remembered(heads_of(x.cos(), 1))
    scores = (heads_of(x) @ k.transpose(-1, -2)) / 2 + mask_of(x)
    return joined(scores.softmax(-1) @ v)


def onto_zeros(x, positions):
    """Scores are added to zeros of their own shape."""
    k, v = remembered(heads_of(x.sin())), remembered(heads_of(x.cos()))
    zeros = x.new_zeros(x.shape[0] * HEADS, x.shape[1], x.shape[1])
    queries = heads_of(x).reshape(-1, *heads_of(x).shape[2:])
    scores = zeros.baddbmm(queries, k.reshape(-1, *k.shape[2:]).transpose(1, 2), alpha=0.5)
    scores = scores.view(x.shape[0], HEADS, x.shape[1], -1).masked_fill(ahead(x), LOWEST)
    return joined(scores.softmax(-1) @ v)


def capped(x, positions):
    k, v = remembered(heads_of(x.sin())), remembered(heads_of(x.cos()))
    scores = (heads_of(x) @ k.transpose(-1, -2) * 0.5 / 3.0).tanh() * 3.0
    return joined((scores + mask_of(x)).softmax(-1) @ v)


def raised(function):
    model, call = formula(function, columns=HEADS * SIZE)
    for step in (Tidy(), RaiseAttention(), RaiseMasks()):
        step(model)
    for shape in ((2, 5), (1, 1), (3, 8)):
        ids = np.random.default_rng(1).integers(0, VOCAB, shape)
        found = OrtGraph(model)(**plain_feed(ids))["logits"]
        np.testing.assert_allclose(found, call(ids), rtol=1e-5, atol=1e-5)
    (node,) = [node for node in model.graph if node.op_type == "Attention"]
    assert not [node for node in model.graph if node.op_type in ("Softmax", "Cached")]
    return node


@slow
@pytest.mark.parametrize("function", [added, chosen, groups, one_key, onto_zeros, capped])
def test_forms_of_attention(function):
    assert raised(function).inputs[3].dtype.name == "BOOL"


@slow
def test_biases_stay_in_the_mask():
    node = raised(batches_of_heads)
    assert node.inputs[3].producer().op_type == "Where"
    assert node.attributes["scale"].as_float() == pytest.approx(0.4)


@slow
def test_heads_dealt_out_in_another_order_are_left():
    def function(x, positions):
        k, v = remembered(heads_of(x.sin(), 2)), remembered(heads_of(x.cos(), 2))

        def tiled(y):
            return y[:, None].expand(-1, 2, -1, -1, -1).reshape(y.shape[0], HEADS, -1, SIZE)

        scores = heads_of(x) @ tiled(k).transpose(-1, -2) + mask_of(x)
        return joined(scores.softmax(-1) @ tiled(v))

    model, _ = formula(function, columns=HEADS * SIZE)
    for step in (Tidy(), RaiseAttention()):
        step(model)
    assert "Attention" not in [node.op_type for node in model.graph]


def test_what_is_no_attention():
    assert scores_of(None) is None
    assert cached_heads(None) is None
    assert is_forbidden(-1e9) and not is_forbidden(-100.0) and not is_forbidden(None)
