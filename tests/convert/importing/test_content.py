"""What follows from the tokens, and what from their number alone."""

from convert.graph import find_value
from convert.importing.content import of_ids
from tests.support.models import small_model


def test_masks_and_rotations_do_not_depend_on_tokens():
    graph = small_model("llama").graph()
    said = of_ids(graph)
    assert graph.graph.outputs[0] in said
    assert find_value(graph, "mask.full.allowed") not in said
    assert all(
        node.inputs[1] not in said for node in graph.graph if node.op_type == "RotaryEmbedding"
    )
    assert all(node.inputs[0] in said for node in graph.graph if node.op_type == "Attention")
