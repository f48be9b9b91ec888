"""Which layers have experts, and what of it a config may leave out or contradict."""

from __future__ import annotations

import pytest

from convert.errors import BrokenInputError
from tests.convert.architectures.configs import parse


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({}, (True, True, True, True)),
        ({"decoder_sparse_step": 2}, (False, True, False, True)),
        ({"decoder_sparse_step": 3}, (False, False, True, False)),
        ({"mlp_only_layers": [0, 3]}, (False, True, True, False)),
        ({"mlp_only_layers": [1], "decoder_sparse_step": 2}, (False, False, False, True)),
    ],
)
def test_some_layers_have_one_mlp(changes, layers):
    assert parse("qwen3_moe", **changes).experts.layers == layers


@pytest.mark.parametrize(
    "changes",
    [{"num_experts": 0}, {"decoder_sparse_step": 5}, {"mlp_only_layers": [0, 1, 2, 3]}],
)
def test_a_model_may_have_no_experts_at_all(changes):
    assert parse("qwen3_moe", **changes).experts is None
    assert parse("qwen2_moe", **changes).experts is None


@pytest.mark.parametrize("layers", [[4], [-1], [True], ["0"], 2])
def test_layers_of_one_mlp_must_be_there(layers):
    with pytest.raises(BrokenInputError, match="mlp_only_layers"):
        parse("qwen3_moe", mlp_only_layers=layers)


def test_two_names_for_one_number_must_agree():
    assert parse("qwen3_moe", num_experts=16, num_local_experts=16).experts.count == 16
    with pytest.raises(BrokenInputError, match="num_local_experts") as caught:
        parse("qwen3_moe", num_experts=16, num_local_experts=8)
    assert "16, as num_experts says" in str(caught.value)


def test_a_damaged_count_of_experts_does_not_fill_the_memory():
    with pytest.raises(BrokenInputError, match="num_experts"):
        parse("qwen3_moe", num_experts=1 << 40)
    with pytest.raises(BrokenInputError, match="num_local_experts"):
        parse("mixtral", num_local_experts=1 << 40)
    with pytest.raises(BrokenInputError, match="num_experts"):
        parse("qwen3_moe", num_experts=10_000, num_hidden_layers=10_000)
    with pytest.raises(BrokenInputError, match="num_local_experts"):
        parse("mixtral", num_local_experts=10_000, num_hidden_layers=10_000)
