"""The description says what each rank has, and counts what is stored more than once."""

from __future__ import annotations

import itertools
import json

import pytest

from convert.errors import BadHeaderError
from convert.weights import read_float32
from targets.ranks.description import read_description
from targets.ranks.folders import DESCRIPTION
from tests.support.models import small_model
from tests.support.rank_artifacts import make_pair


def test_ranges_of_the_ranks_make_up_the_weights(pair):
    described = read_description(pair.cut)
    assert described.ranks == 2
    assert described.to_json() == (pair.cut / DESCRIPTION).read_bytes()
    for name, cut in described.weights.items():
        length = pair.model.weights[name].shape[cut.axis]
        joined = sorted(bounds for own in cut.ranges for bounds in own)
        assert (joined[0][0], joined[-1][1]) == (0, length)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(joined))


def test_only_vectors_are_stored_again(pair):
    described = read_description(pair.cut)
    whole = [weight for name, weight in pair.model.weights.items() if name not in described.weights]
    assert all(len(weight.shape) == 1 for weight in whole)
    assert described.bytes_stored_again == sum(4 * weight.rows for weight in whole)
    total = sum(read_float32(weight).nbytes for weight in pair.model.weights.values())
    assert sum(described.weight_bytes) == total + described.bytes_stored_again


@pytest.mark.parametrize(
    "damage",
    ["", "[]", '{"ranks": 2}', '{"ranks": 2, "weights": {"w": {}}}'],
)
def test_a_damaged_description_is_named(tmp_path, damage):
    (tmp_path / DESCRIPTION).write_text(damage)
    with pytest.raises(BadHeaderError, match=DESCRIPTION):
        read_description(tmp_path)


def test_key_value_heads_that_two_ranks_share_count_as_copies(tmp_path):
    model = small_model("llama", num_key_value_heads=1)
    described = read_description(make_pair(model, tmp_path, 2).cut)
    vectors = sum(4 * w.rows for w in model.weights.values() if len(w.shape) == 1)
    keys = sum(
        read_float32(weight).nbytes
        for name, weight in model.weights.items()
        if "k_proj" in name or "v_proj" in name
    )
    assert described.bytes_stored_again == vectors + keys
    assert json.loads(described.to_json())["bytes_stored_again"] == vectors + keys
