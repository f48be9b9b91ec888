"""Which groups of layers are divided: those that all want it, and that have what can divide."""

from passes.smoothing.division import divisible
from passes.smoothing.groups import groups
from tests.support.models import small_model


def test_a_group_is_divided_only_as_a_whole():
    model = small_model("llama").graph()
    every = {name for group in groups(model) for name in group.weights}
    whole = [group.name for group, _ in divisible(model, every)]
    assert whole == [group.name for group in groups(model) if group.fold is not None]
    without = every - {"model.layers.0.mlp.up_proj.weight"}
    left = [group.name for group, _ in divisible(model, without)]
    assert set(whole) - set(left) == {"model.layers.0.mlp.gate_proj.weight"}
    assert not list(divisible(model, ()))
