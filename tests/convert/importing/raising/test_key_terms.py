"""What a model adds to the scores of a key's token is kept with the key."""

import pytest

from convert.errors import UnsupportedArchitectureError
from convert.graph import attention_nodes
from convert.importing.graphs import imported_graph
from convert.importing.raising.key_terms import RaiseKeyTerms
from convert.importing.skeleton import skeleton
from tests.support.imported import largest_differences, raw_config
from tests.support.models import small_model

DYNAMIC = {"num_hidden_layers": 1, "keep_window_size": 256}


def test_a_mask_made_of_values_goes_through_a_cache():
    found = largest_differences(raw_config("doge", **DYNAMIC))
    assert max(found.values()) < 1e-5, found


def test_keys_have_one_element_more_and_the_mask_is_the_usual_one():
    graph = imported_graph(skeleton(raw_config("doge", **DYNAMIC)))
    (node,) = attention_nodes(graph)
    assert [value.shape[3] for value in node.inputs[:3]] == [9, 9, 8]
    assert node.inputs[3].name == "mask.full.allowed"


def test_a_choice_of_the_best_keys_holds_for_long_texts_alone():
    with pytest.raises(UnsupportedArchitectureError, match="for any length") as refused:
        imported_graph(skeleton(raw_config("doge", num_hidden_layers=1, keep_window_size=4)))
    assert "its length is at least 5" in str(refused.value)


def test_other_masks_stay():
    assert not RaiseKeyTerms()(small_model("llama").graph())
    assert not RaiseKeyTerms()(small_model("bloom").graph())
