"""A run that rounds weights: later layers see what the rounded ones before them give."""

import numpy as np
import pytest

from convert.graph import parameters
from convert.weights import ArrayWeight
from passes.calibration import held
from passes.calibration.rounding import Rounding
from passes.calibration.snapshots import Snapshots
from passes.calibration.spill import Spill
from passes.encodings import encoding
from tests.passes.calibration.test_snapshots import KilledAfter, KilledError
from tests.support.models import SmallModel, random_ids, small_model

STORED = encoding("int4_g24")
FIRST = "model.layers.0.mlp.down_proj.weight"
SECOND = "model.layers.1.self_attn.q_proj.weight"
TEXTS = [ids.tolist() for ids in random_ids(2, 30, 101)]


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=False)


def rounded(small, names, find=None, **more):
    found = {}

    def keep(name, start, stop, planes):
        assert start == 0
        found[name] = planes

    encodings = dict.fromkeys(names, STORED)
    find = find or (lambda name, start, stop: found.get(name))
    Rounding(small.graph(), TEXTS, encodings, keep, find, **more).run(lambda count: None)
    return found


def test_every_named_layer_is_rounded_also_the_head(small):
    names = [
        name for name in parameters(small.graph()) if name.endswith(("proj.weight", "head.weight"))
    ]
    assert set(rounded(small, names)) == set(names)
    assert "lm_head.weight" in names


def test_a_layer_sees_what_the_rounded_layer_before_it_gives(small):
    both = rounded(small, [FIRST, SECOND])
    weight = parameters(small.graph())[FIRST].weight
    stored = STORED.decode(both[FIRST], weight.rows, weight.columns)
    given = SmallModel(
        small.torch_model,
        small.raw_config,
        {**small.weights, FIRST: ArrayWeight(FIRST, stored)},
    )
    for found, wanted in zip(both[SECOND], rounded(given, [SECOND])[SECOND], strict=True):
        assert np.array_equal(found, wanted)
    alone = rounded(small, [SECOND])[SECOND]
    assert any(not np.array_equal(*pair) for pair in zip(alone, both[SECOND], strict=True))


def test_what_is_found_is_used_and_not_rounded_again(small):
    both = rounded(small, [FIRST, SECOND])
    again = rounded(
        small, [FIRST, SECOND], lambda name, start, stop: both[FIRST] if name == FIRST else None
    )
    assert set(again) == {SECOND}
    for found, wanted in zip(again[SECOND], both[SECOND], strict=True):
        assert np.array_equal(found, wanted)


def test_codes_are_the_same_whether_values_are_on_disk(small, tmp_path, monkeypatch):
    monkeypatch.setattr(held, "SMALLEST_BYTES", 1)
    names = [name for name in parameters(small.graph()) if name.endswith("proj.weight")]
    spill = Spill(tmp_path)
    on_disk = rounded(small, names, batch_tokens=30, spill=spill)
    assert spill.nbytes > 10_000
    in_memory = rounded(small, names, batch_tokens=30)
    assert set(on_disk) == set(names) == set(in_memory)
    for name, planes in in_memory.items():
        for found, wanted in zip(on_disk[name], planes, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_batches_add_up_to_the_same_moments(small):
    name = "model.layers.0.self_attn.q_proj.weight"  # what it reads depends on no product
    whole, [codes, *_] = rounded(small, [name])[name], rounded(small, [name], batch_tokens=30)[name]
    assert np.mean(codes == whole[0]) > 0.99


def test_a_killed_run_goes_on_and_rounds_nothing_again(small, tmp_path):
    names = [name for name in parameters(small.graph()) if name.endswith("proj.weight")]
    unbroken, found, kept = rounded(small, names, batch_tokens=30), {}, []

    def run(snapshots):
        def keep(name, start, stop, planes):
            kept.append(name)
            found[name] = planes

        Rounding(
            *(small.graph(), TEXTS, dict.fromkeys(names, STORED), keep),
            *(lambda name, start, stop: found.get(name),),
            batch_tokens=30,
        ).run(lambda count: None, snapshots)

    killed = KilledAfter(tmp_path / "state", "identity")
    killed.left = 2
    with pytest.raises(KilledError):
        run(killed)
    assert 0 < len(kept) < len(names)
    run(Snapshots(tmp_path / "state", "identity"))
    assert sorted(kept) == sorted(names)
    for name, planes in unbroken.items():
        for one, other in zip(planes, found[name], strict=True):
            np.testing.assert_array_equal(one, other)
