"""The graph of a mixture of experts: what is computed, and under which names."""

from __future__ import annotations

import numpy as np
import pytest

from convert.graph import Role, expert_splits, roles
from tests.support.models import position_ids, random_ids, small_model
from tests.support.ort import OrtGraph, relative_error


@pytest.fixture(scope="module")
def model():
    return small_model("mixtral", num_local_experts=6)


def test_each_expert_multiplies_its_own_tokens_and_no_others(model):
    graph = model.graph()
    [first, _] = expert_splits(graph)
    shares = [value.name for value in first.outputs]
    assert shares[5] == "model.layers.0.block_sparse_moe.experts.5.tokens"
    graph.graph.outputs.extend(first.outputs)
    tokens = 21
    ids = random_ids(1, tokens, model.config.vocab)
    mask = np.ones_like(ids)
    found = OrtGraph(graph)(input_ids=ids, attention_mask=mask, position_ids=position_ids(mask))
    assert sum(len(found[name]) for name in shares) == tokens * model.config.experts.used


def test_an_expert_that_nobody_visits_multiplies_nothing(model):
    ids = random_ids(1, 1, model.config.vocab)
    mask = np.ones_like(ids)
    found = OrtGraph(model.graph())(
        input_ids=ids, attention_mask=mask, position_ids=position_ids(mask)
    )
    assert relative_error(found["logits"], model.logits(ids)) < 1e-4


def test_routers_and_shared_gates_have_a_role_of_their_own():
    graph = small_model("qwen2_moe").graph()
    found = {name for name, role in roles(graph).items() if role is Role.ROUTER}
    mlps = [f"model.layers.{layer}.mlp" for layer in range(2)]
    assert found == {
        f"{mlp}.{part}.weight" for mlp in mlps for part in ("gate", "shared_expert_gate")
    }
    assert roles(graph)["model.layers.0.mlp.experts.3.down_proj.weight"] is Role.LINEAR
