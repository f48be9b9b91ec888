"""Which weights are experts', and moments of those that few tokens visit."""

from __future__ import annotations

import numpy as np
import pytest

from passes.calibration.execution import run
from passes.calibration.expert_layers import PRIOR_TOKENS, ExpertMoments, experts_of
from passes.calibration.observers import SecondMoments
from tests.support.models import random_ids, small_model

SCOPE = "model.layers.0.block_sparse_moe"


@pytest.fixture(scope="module")
def graph():
    model = small_model("mixtral", num_local_experts=9, num_hidden_layers=1)
    return model.graph()


def watched(graph, tokens):
    seen = SecondMoments()
    run(graph, [random_ids(1, tokens, 101)[0].tolist()], (seen,))
    return seen


def test_an_expert_has_a_router_and_weights_before_and_behind_the_gate(graph):
    experts = experts_of(graph)
    assert [each.name for each in experts] == [f"{SCOPE}.experts.{n}" for n in range(9)]
    last = experts[8]
    assert last.router == f"{SCOPE}.gate.weight"
    assert last.entering == tuple(f"{SCOPE}.experts.8.{part}.weight" for part in ("w1", "w3"))
    assert last.inner == (f"{SCOPE}.experts.8.w2.weight",)


def test_a_model_without_experts_has_none():
    graph = small_model("llama", num_hidden_layers=1).graph()
    assert experts_of(graph) == ()
    seen = watched(graph, 5)
    moments = ExpertMoments(graph)
    assert moments.visits(seen) == {}
    for name, sums in seen.sums.items():
        np.testing.assert_array_equal(moments.of(name, seen), sums / 5)


def test_every_visit_is_counted(graph):
    visits = ExpertMoments(graph).visits(watched(graph, 40))
    assert sum(visits.values()) == 40 * 2
    assert len(visits) == 9


def test_an_expert_that_nobody_visits_has_the_moments_of_all_tokens(graph):
    seen = watched(graph, 1)
    moments = ExpertMoments(graph)
    visits = moments.visits(seen)
    unseen = next(each for each in moments.experts if visits[each.name] == 0)
    all_tokens = seen.sums[unseen.router] / seen.tokens[unseen.router]
    for name in unseen.entering:
        np.testing.assert_allclose(moments.of(name, seen), all_tokens)
    [down] = unseen.inner
    np.testing.assert_array_equal(moments.of(down, seen), np.ones(72))


def test_few_tokens_count_with_what_is_expected(graph):
    seen = watched(graph, 40)
    moments = ExpertMoments(graph)
    expert = moments.experts[0]
    tokens = seen.tokens[expert.entering[0]]
    assert 0 < tokens < 40
    expected = seen.sums[expert.router] / 40
    for name in expert.entering:
        found = (seen.sums[name] + PRIOR_TOKENS * expected) / (tokens + PRIOR_TOKENS)
        np.testing.assert_allclose(moments.of(name, seen), found)
    [down] = expert.inner
    own = seen.sums[down] / tokens
    found = moments.of(down, seen)
    np.testing.assert_allclose(found.mean(), own.mean())
    np.testing.assert_allclose(
        found - own.mean(), (own - own.mean()) * tokens / (tokens + PRIOR_TOKENS), atol=1e-12
    )
