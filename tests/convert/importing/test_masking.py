"""Masks of a trace become those of the hand-written graphs."""

from convert.graph import KEY_SLOTS, QUERY_SLOTS, find_value
from convert.importing.masking import write_masks
from convert.importing.skeleton import skeleton
from convert.importing.tracing import trace
from convert.importing.translating import translate
from tests.support.imported import raw_config


def test_one_mask_for_all_layers_of_a_window():
    made = skeleton(raw_config("llama", num_hidden_layers=2))
    model = translate(trace(made, remembers=False), made)
    assert sum(node.domain == "tricast" for node in model.graph) == 1
    write_masks(model)
    nodes = [node for node in model.graph if node.op_type == "Attention"]
    masks = {node.inputs[3].producer().inputs[0] for node in nodes}
    assert [mask.name for mask in masks] == ["mask.full.allowed"]
    assert find_value(model, QUERY_SLOTS) is not None
    assert find_value(model, KEY_SLOTS) is not None
    assert list(model.graph.opset_imports) == [""]
