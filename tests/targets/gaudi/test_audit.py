"""What torch.export lets pass and a graph capture could not hold."""

import pytest
import torch
from torch import nn

from convert.errors import BrokenInputError, GraphCaptureError
from targets.gaudi import audit as audit_program
from targets.gaudi.audit import audit, audit_file
from targets.gaudi.audit_caches import ARGUMENT, audit_caches
from targets.gaudi.operator_traits import arguments

HEADS, SLOTS, SIZE = 2, 8, 4


class Decoder(nn.Module):
    """One head's worth of a decode step; faults override a part of it."""

    def forward(self, x, mask, position, caches):
        keys = self.write(caches["key"], x, position)
        return self.attend(x, keys, mask)

    def write(self, cache, x, position):
        return cache.index_copy_(2, position, x)

    def attend(self, x, keys, mask):
        scores = (x @ keys.mT).masked_fill(mask.bool().logical_not(), -1e4)
        return scores.softmax(-1) @ keys


class Growing(Decoder):
    def forward(self, x, mask, position, caches):
        keys = torch.cat([caches["key"], x], 2)
        return (x @ keys.mT).softmax(-1) @ keys, {"key": keys}


class Item(Decoder):
    def write(self, cache, x, position):
        slot = position.item()
        torch._check(slot >= 0)
        torch._check(slot < SLOTS)
        cache.narrow(2, slot, 1).copy_(x)
        return cache


class PickedByMask(Decoder):
    def attend(self, x, keys, mask):
        kept = mask[0].nonzero().squeeze(1)
        torch._check(kept.shape[0] > 0)
        return super().attend(x, keys.index_select(2, kept), torch.ones(1))


class HostCopy(Decoder):
    def attend(self, x, keys, mask):
        return super().attend(x, keys.cpu(), mask)


class IndexedByMask(Decoder):
    def attend(self, x, keys, mask):
        return keys[:, :, mask[0].bool()].sum()


class Replaced(Decoder):
    def write(self, cache, x, position):
        return cache.index_copy(2, position, x)


class ThroughView(Decoder):
    def write(self, cache, x, position):
        cache[:, :, 3:4].copy_(x)
        return cache


class Branch(Decoder):
    def attend(self, x, keys, mask):
        return torch.cond(mask.sum() > 3, lambda one: one + 1, lambda one: one - 1, (keys,))


class Random(Decoder):
    def attend(self, x, keys, mask):
        return nn.functional.dropout(keys, 0.5, training=True)


class MadeOnHost(Decoder):
    def attend(self, x, keys, mask):
        return keys + torch.arange(SIZE)


class Double(Decoder):
    def attend(self, x, keys, mask):
        return keys.double().sum()


class Sparse(Decoder):
    def attend(self, x, keys, mask):
        return keys.flatten().to_sparse().sum()


class Resized(Decoder):
    def attend(self, x, keys, mask):
        return (keys * 1).unsqueeze_(0)


class NoGradient(Decoder):
    def attend(self, x, keys, mask):
        with torch.no_grad():
            return keys * 2


class WithoutFault(Decoder):
    def attend(self, x, keys, mask):
        first, second = super().attend(x, keys, mask).chunk(2, -1)
        picked = torch.cat([second, first], -1)[:, :, mask[0, :1] * 0]
        return nn.functional.scaled_dot_product_attention(picked, keys, keys).to(torch.bfloat16)


def exported(kind, **options):
    given = {
        "x": torch.randn(1, HEADS, 1, SIZE),
        "mask": torch.ones(1, SLOTS, dtype=torch.int64),
        "position": torch.tensor([3]),
        "caches": {"key": torch.zeros(1, HEADS, SLOTS, SIZE)},
    }
    return torch.export.export(kind(), tuple(given.values()), **options)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Exports a fault once, and gives it as exported and as read back from a file."""
    folder = tmp_path_factory.mktemp("programs")

    def both(kind):
        program = exported(kind)
        path = folder / f"{kind.__name__}.pt2"
        torch.export.save(program, path)
        return program, path

    return both


def test_a_program_without_fault_passes(saved):
    program, path = saved(WithoutFault)
    audit(program)
    audit_file(path)


PLANTED = {
    Growing: (
        r"'caches_key' grows from \(1, 2, 8, 4\) to \(1, 2, 9, 4\)",
        "cat = aten.cat.default",
    ),
    Item: ("read back to the host", "item = aten.item.default"),
    PickedByMask: ("a shape depends on data", "nonzero = aten.nonzero.default"),
    HostCopy: ("copied to a named device", "to = aten.to.dtype_layout"),
}


@pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)
def test_a_planted_fault_is_found_in_the_program_and_in_its_file(kind, saved):
    reason, node = PLANTED[kind]
    program, path = saved(kind)
    for look in (lambda: audit(program, path.name), lambda: audit_file(path)):
        with pytest.raises(GraphCaptureError, match=reason) as caught:
            look()
        assert caught.value.node == node
        assert path.name in caught.value.what


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (IndexedByMask, "a shape depends on data.*aten.index.Tensor"),
        (Replaced, "'caches_key' is not updated in place"),
        (ThroughView, "written through a view"),
        (Branch, "a part of the program"),
        (Random, "random numbers.*dropout"),
        (MadeOnHost, "made on the host.*arange"),
        (Double, "float64"),
        (Sparse, "sparse"),
        (Resized, "in place.*unsqueeze_"),
        (NoGradient, "a part of the program"),
    ],
)
def test_other_faults(kind, reason):
    with pytest.raises(GraphCaptureError, match=reason):
        audit(exported(kind))


def test_a_symbolic_size_is_found():
    shapes = (None, {1: torch.export.Dim("slots", max=64)}, None, {"key": None})
    shapes[3]["key"] = {2: torch.export.Dim("slots", max=64)}
    program = exported(Decoder, dynamic_shapes=shapes)
    with pytest.raises(GraphCaptureError, match="symbolic"):
        audit(program)


def test_an_operator_that_torch_does_not_have_is_refused():
    @torch.library.custom_op("tricast_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @twice.register_fake
    def _(x):
        return x * 2

    class Foreign(Decoder):
        def attend(self, x, keys, mask):
            return twice(keys)

    with pytest.raises(GraphCaptureError, match=r"not one of torch's.*tricast_test"):
        audit(exported(Foreign))


class InBuffer(nn.Module):
    def __init__(self, writes):
        super().__init__()
        self.writes = writes
        self.register_buffer("key", torch.zeros(SLOTS, SIZE))

    def forward(self, x, position):
        if self.writes:
            self.key.index_copy_(0, position, x)
        return x @ self.key.mT


def test_a_cache_in_a_buffer_counts_before_and_after_decomposition():
    program = torch.export.export(InBuffer(True), (torch.ones(1, SIZE), torch.tensor([1])))
    audit_caches(program, "p")
    audit_caches(program.run_decompositions(), "p")
    without = torch.export.export(InBuffer(False), (torch.ones(1, SIZE), torch.tensor([1])))
    with pytest.raises(GraphCaptureError, match="no cache is updated"):
        audit_caches(without, "p")


def test_the_argument_of_the_caches_is_that_of_the_lowering():
    import inspect

    from targets.gaudi.lower import StaticDecoder

    assert ARGUMENT in inspect.signature(StaticDecoder.forward).parameters


def test_arguments_are_named_with_their_defaults():
    program = exported(Decoder)
    node = next(node for node in program.graph.nodes if "softmax" in node.name)
    given = arguments(node, node.target)
    assert (given["dim"], given["dtype"]) == (-1, None)


def test_the_program_says_what_is_wrong_with_each_file(saved, capsys, tmp_path):
    (_, sound), (_, faulty) = saved(Decoder), saved(Item)
    assert audit_program.main([str(sound)]) == 0
    assert audit_program.main([str(sound), str(faulty)]) == GraphCaptureError.exit_code
    assert "Item.pt2" in capsys.readouterr().err
    (tmp_path / "empty.pt2").write_bytes(b"")
    assert audit_program.main([str(tmp_path / "empty.pt2")]) == BrokenInputError.exit_code


def test_reading_leaves_torch_as_it_was(saved, tmp_path):
    import typing

    from torch._export.serde import serialize

    assert serialize.typing is typing
    assert audit_program.load_program(saved(Decoder)[1]).range_constraints == {}
    (tmp_path / "broken.pt2").write_bytes(b"PK")
    with pytest.raises(BrokenInputError, match=r"broken\.pt2"):
        audit_program.load_program(tmp_path / "broken.pt2")
    assert serialize.typing is typing
