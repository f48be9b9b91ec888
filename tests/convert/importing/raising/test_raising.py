"""What tracing takes apart is put back, and computes the same in onnxruntime."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.raising.folding import folded
from convert.importing.raising.half_tables import HalfTables, Layout
from convert.importing.raising.layer_norm import RaiseLayerNorm
from convert.importing.raising.partial_rotary import RaisePartialRotary
from convert.importing.raising.patterns import Rewriter, integers_of, scalar_of
from convert.importing.raising.rms_norm import RaiseRmsNorm
from convert.importing.raising.rotary import RaiseRotary
from convert.importing.raising.tidying import Tidy
from tests.support.imported import VOCAB, formula, plain_feed
from tests.support.ort import OrtGraph

pytestmark = pytest.mark.slow  # every test traces a program

HEADS, SIZE = 3, 8


def raised(function, *steps, columns=12):
    """The graph of a function after passes, which change nothing that it computes."""
    model, call = formula(function, columns=columns)
    for step in (Tidy(), *steps):
        step(model)
    for shape in ((2, 5), (1, 1)):
        ids = np.random.default_rng(1).integers(0, VOCAB, shape)
        found = OrtGraph(model)(**plain_feed(ids))["logits"]
        np.testing.assert_allclose(found, call(ids), rtol=1e-5, atol=1e-5)
    return [node.op_type for node in model.graph], model


def rms(x):
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, p: rms(x),
        lambda x, p: rms(x) * x.new_ones(12),
        lambda x, p: (x.new_ones(12) + 1) * rms(x),
        lambda x, p: x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt(),
    ],
)
def test_norms_by_the_root_mean_square(function):
    kinds, _ = raised(function, RaiseRmsNorm())
    assert kinds == ["Gather", "RMSNormalization"]


def test_a_norm_over_another_axis_stays():
    def function(x, positions):
        return x * (x.pow(2).mean(1, keepdim=True) + 1e-5).rsqrt()

    kinds, _ = raised(function, RaiseRmsNorm())
    assert "RMSNormalization" not in kinds


def test_norms_without_the_mean():
    def function(x, positions):
        return rms(x - x.mean(-1, keepdim=True)) * x.new_ones(12) + x.new_ones(12) / 2

    kinds, _ = raised(function, RaiseRmsNorm(), RaiseLayerNorm())
    assert kinds == ["Gather", "LayerNormalization"]


def heads_of(x):
    return x.view(*x.shape[:2], HEADS, SIZE).transpose(1, 2)


def angles(x, positions, size=SIZE):
    import torch

    steps = torch.arange(0, size, 2, device=x.device) / size
    return positions.unsqueeze(-1) * (100.0**-steps)


def halves(x, positions):
    import torch

    both = torch.cat([angles(x, positions)] * 2, -1)
    return both.cos() * 1.5, both.sin() * 1.5


def half_turned(x):
    import torch

    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-second, first), -1)


def test_halves_are_rotated():
    def function(x, positions):
        cos, sin = halves(x, positions)
        heads = heads_of(x)
        turned = heads * cos.unsqueeze(1) + half_turned(heads) * sin.unsqueeze(1)
        return turned.transpose(1, 2).flatten(2)

    kinds, model = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1
    assert not {"Neg", "Concat", "Slice"} & set(kinds)
    (node,) = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    assert [str(each.shape) for each in node.inputs[1:]] == ["[batch,sequence,4]"] * 2


def test_halves_are_rotated_backwards():
    def function(x, positions):
        import torch

        cos, sin = halves(x, positions)
        heads = heads_of(x)
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat((second, -first), -1)
        both = heads * cos.unsqueeze(1) + turned * sin.unsqueeze(1)
        return both.transpose(1, 2).flatten(2)

    kinds, _ = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == kinds.count("Neg") == 1
    assert not {"Concat", "Slice"} & set(kinds)


def test_sequences_may_share_their_positions():
    def function(x, positions):
        cos, sin = halves(x, positions[:1])
        heads = heads_of(x)
        turned = heads * cos.unsqueeze(1) + half_turned(heads) * sin.unsqueeze(1)
        return turned.transpose(1, 2).flatten(2)

    kinds, _ = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1


def test_heads_may_come_last():
    def function(x, positions):
        cos, sin = (each.unsqueeze(2) for each in halves(x, positions))
        heads = x.view(*x.shape[:2], HEADS, SIZE)
        return (heads * cos + half_turned(heads) * sin).flatten(2)

    kinds, _ = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1


def test_pairs_in_turn_are_rotated():
    def function(x, positions):
        import torch

        both = angles(x, positions).repeat_interleave(2, dim=-1).unsqueeze(1)
        heads = heads_of(x)
        turned = torch.stack((-heads[..., 1::2], heads[..., ::2]), -1).flatten(-2)
        return (heads * both.cos() + turned * both.sin()).transpose(1, 2).flatten(2)

    kinds, model = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    (node,) = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    assert node.attributes["interleaved"].as_int() == 1
    assert "Neg" not in kinds


def test_products_of_halves_are_rotated():
    def function(x, positions):
        import torch

        found = angles(x, positions).unsqueeze(1)
        first, second = heads_of(x).chunk(2, dim=-1)
        turned = torch.cat(
            (
                first * found.cos() - second * found.sin(),
                second * found.cos() + first * found.sin(),
            ),
            -1,
        )
        return turned.transpose(1, 2).flatten(2)

    kinds, _ = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1
    assert "Neg" not in kinds and "Concat" not in kinds


def test_the_first_elements_are_rotated():
    def function(x, positions):
        import torch

        both = torch.cat([angles(x, positions, 4)] * 2, -1).unsqueeze(1)
        heads = heads_of(x)
        first, rest = heads[..., :4], heads[..., 4:]
        turned = first * both.cos() + half_turned(first) * both.sin()
        return torch.cat((turned, rest), -1).transpose(1, 2).flatten(2)

    steps = (RaiseRotary(), RaisePartialRotary())
    kinds, model = raised(function, *steps, columns=HEADS * SIZE)
    (node,) = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    assert node.attributes["rotary_embedding_dim"].as_int() == 4
    assert "Slice" not in kinds


def test_angles_that_differ_within_a_pair_are_left():
    def function(x, positions):
        import torch

        found = angles(x, positions)
        both = torch.cat([found, 2 * found], -1).unsqueeze(1)
        heads = heads_of(x)
        turned = heads * both.cos() + half_turned(heads) * both.sin()
        return turned.transpose(1, 2).flatten(2)

    kinds, _ = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert "RotaryEmbedding" not in kinds


def test_what_changes_nothing_goes():
    def function(x, positions):
        y = (x * 1.0 + 0.0).transpose(1, 2).transpose(1, 2).reshape(x.shape)
        return y.float() / 1.0 + x.new_ones(12).sqrt().unsqueeze(0) * 2 + x.exp() - x.exp()

    kinds, _ = raised(function)
    assert kinds == ["Gather", "Add", "Exp", "Add", "Sub"]


def test_constants_are_computed_by_what_is_known():
    node = ir.Node("", "Einsum", (None,), name="unknown")
    assert folded(node, [np.ones(2)]) is None


def test_looking_back():
    model, _ = formula(lambda x, positions: x * 2.0)
    (product,) = [node for node in model.graph if node.op_type == "Mul"]
    assert scalar_of(product.inputs[1]) == 2.0
    assert scalar_of(product.inputs[0]) is None
    assert integers_of(None) is None
    assert HalfTables(Rewriter(model)).of(None, Layout.HALVES) is None


def test_pairs_in_turn_may_come_out_as_halves():
    def function(x, positions):
        import torch

        cos, sin = (
            each.unsqueeze(1) for each in (angles(x, positions).cos(), angles(x, positions).sin())
        )
        heads = heads_of(x)
        first, second = heads[..., 0::2], heads[..., 1::2]
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return turned.transpose(1, 2).flatten(2)

    kinds, model = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1
    (node,) = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    assert "interleaved" not in node.attributes


def test_rotations_by_complex_numbers():
    def function(x, positions):
        import torch

        turns = angles(x, positions).unsqueeze(1)
        heads = heads_of(x)
        pairs = torch.view_as_complex(heads.reshape(*heads.shape[:-1], -1, 2))
        turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(turns), turns)).flatten(3)
        return turned.transpose(1, 2).flatten(2)

    kinds, model = raised(function, RaiseRotary(), columns=HEADS * SIZE)
    assert kinds.count("RotaryEmbedding") == 1
    (node,) = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    assert node.attributes["interleaved"].as_int() == 1
