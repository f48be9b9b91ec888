"""A shard says all that a rank's graph depends on."""

from __future__ import annotations

import json

from convert.graph import parameters
from passes.tensor_parallel import TensorParallel
from targets.ranks.shard import Shard
from tests.support.models import small_model


def test_the_same_cut_again():
    small = small_model("llama")
    model, again = small.graph(), small.graph()
    TensorParallel(2, 1, block=8)(model)
    shard = Shard.of(model)
    assert Shard.from_json(json.loads(json.dumps(shard.to_json()))) == shard == Shard(2, 1, 8)
    shard.cut(again)
    assert [node.name for node in again.graph] == [node.name for node in model.graph]
    found, wanted = ({n: p.shape for n, p in parameters(m).items()} for m in (again, model))
    assert found == wanted
    assert found != {name: weight.shape for name, weight in small.weights.items()}
