"""How experts are chosen in llama.cpp's keys, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import UnsupportedConfigError
from convert.importing.architecture import Imported
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.mixing import mixing_keys, shared_width
from targets.gguf.imported.routings import Routing
from targets.gguf.imported.runs import RUNS, Mixing
from tests.support.imported import original, weights_of
from tests.support.models import small_model
from tests.targets.gguf.imported.mixtures import with_experts
from tests.targets.gguf.imported.models import config_of


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", num_hidden_layers=1)


@pytest.fixture(scope="module")
def facts(llama):
    return with_experts(facts_of(llama.graph(), llama.config))


def test_keys_say_how_experts_are_chosen(llama, facts) -> None:
    sized = {"expert_count": 3, "expert_used_count": 2, "expert_feed_forward_length": 4}
    assert dict(mixing_keys(facts, llama.config, RUNS["mixtral"], None)) == sized
    found = dict(mixing_keys(with_experts(facts, scale=1.5), llama.config, RUNS["dots1"], 8))
    assert found == {
        **sized,
        **{"expert_shared_count": 2, "expert_gating_func": 1, "expert_weights_norm": True},
        **{"expert_weights_scale": 1.5, "leading_dense_block_count": 0},
    }
    assert mixing_keys(replace(facts, mixtures={}), llama.config, RUNS["llama"], None) == []
    grouped = with_experts(facts, groups=4, groups_used=2)
    keys = dict(mixing_keys(grouped, llama.config, RUNS["mixtral"], None))
    assert (keys["expert_group_count"], keys["expert_group_used_count"]) == (4, 2)
    none = replace(facts, mixtures={})
    assert dict(mixing_keys(none, llama.config, RUNS["deepseek_v3"], None)) == {
        "leading_dense_block_count": 1,
        "expert_feed_forward_length": 72,
        "expert_shared_count": 0,
    }
    assert shared_width({"blk.1.ffn_down_shexp.weight": (6, 8)}, 2) == 8


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"gate": "sigmoid"}, "weighed by sigmoid"),
        ({"normalized": False}, "do not sum to 1"),
        ({"scale": 2.0}, "multiplied by"),
    ],
)
def test_other_choices_are_refused(llama, facts, changes, feature) -> None:
    with pytest.raises(UnsupportedConfigError, match=feature):
        mixing_keys(with_experts(facts, **changes), llama.config, RUNS["mixtral"], None)


def test_experts_where_an_architecture_has_none_are_refused(llama, facts) -> None:
    with pytest.raises(UnsupportedConfigError, match="a mixture of experts"):
        mixing_keys(facts, llama.config, RUNS["llama"], None)
    two = replace(llama.config, layers=2)
    for mixing in (Mixing(), Mixing(dense_first=True)):
        with pytest.raises(UnsupportedConfigError, match="without experts among others"):
            mixing_keys(facts, two, replace(RUNS["mixtral"], mixing=mixing), None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("olmoe", Routing(6, 2, "softmax", False, 1.0)),
        ("granitemoe", Routing(6, 2, "softmax", True, 1.0)),
        ("dots1", Routing(6, 2, "sigmoid", True, 1.5)),
        ("deepseek_v3", Routing(8, 3, "sigmoid", True, 1.5, 4, 2)),
        ("gpt_oss", Routing(6, 2, "softmax", True, 1.0)),
    ],
)
def test_how_a_graph_chooses_is_found_by_letting_it(model_type: str, expected: Routing) -> None:
    raw = config_of(model_type)
    architecture = Imported(raw, raw["architectures"][0])
    config = architecture.parse(raw)
    graph = architecture.build(config, architecture.bound(weights_of(original(raw))))
    assert {each.routing for each in facts_of(graph, config).mixtures.values()} == {expected}
