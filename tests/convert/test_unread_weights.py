import pytest

from convert.architectures import architecture_of
from convert.unread_weights import UnreadWeight, unread_weights
from convert.weights import FloatType
from tests.support.models import small_model


def test_it_has_a_size_but_no_bytes():
    weight = UnreadWeight("w", (3, 4), FloatType.BF16)
    assert (weight.rows, weight.columns, weight.nbytes) == (3, 4, 24)
    with pytest.raises(AssertionError, match="w was read"):
        weight.read_rows(0, 1)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"dtype": "float32"}, FloatType.F32),
        ({"torch_dtype": "float16"}, FloatType.F16),
        ({"torch_dtype": "torch.float32"}, FloatType.F32),
        ({"dtype": None, "torch_dtype": "float16"}, FloatType.F16),
        ({}, FloatType.BF16),
        ({"dtype": "float64"}, FloatType.BF16),
    ],
)
def test_the_type_is_what_the_config_states(stated, expected):
    assert unread_weights({"w": (2, 2)}, stated)["w"].dtype is expected


def test_a_graph_is_built_without_a_checkpoint():
    raw = small_model("llama").raw_config
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    shapes = architecture.parameters(config)
    graph = architecture.build(config, unread_weights(shapes, raw)).graph
    named = {name: value.shape.numpy() for name, value in graph.initializers.items()}
    assert {name: tuple(named[name]) for name in shapes} == shapes
