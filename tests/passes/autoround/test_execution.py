"""A run that rounds blocks: each sees what the rounded ones before it give, and can be resumed."""

import numpy as np
import pytest

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from passes.autoround.execution import BlockRounding
from passes.encodings import encoding
from tests.support.models import random_ids, small_model

STORED = encoding("int4_g24")
TEXTS = [ids.tolist() for ids in random_ids(2, 20, 101)]


@pytest.fixture(scope="module")
def small():
    return small_model("llama", tie_word_embeddings=False)


def rounded(small, known=None, stored=STORED):
    found, told = dict(known or {}), []

    def keep(name, start, stop, planes):
        assert start == 0
        told.append(name)
        found[name] = planes

    names = [
        name for name in parameters(small.graph()) if name.endswith(("proj.weight", "head.weight"))
    ]
    encodings = dict.fromkeys(names, stored)
    running = BlockRounding(
        small.graph(),
        TEXTS,
        encodings,
        keep,
        lambda name, start, stop: found.get(name),
        iterations=4,
        threads=1,
    )
    running.run(lambda count: None)
    return found, told


@pytest.fixture(scope="module")
def both(small):
    return rounded(small)


def test_every_layer_is_rounded_once_also_the_head(both):
    found, told = both
    assert len(told) == len(set(told)) == len(found) == 15
    assert "lm_head.weight" in found


def test_codes_are_the_layers_own(small, both):
    for name, planes in both[0].items():
        weight = parameters(small.graph())[name].weight
        exact = weight.read_rows(0, weight.rows).astype(np.float32)
        off = STORED.decode(planes, *exact.shape) - exact
        assert np.sqrt(np.mean(off**2)) < 0.2 * np.sqrt(np.mean(exact**2))


def test_a_run_goes_on_with_what_is_kept(small, both):
    known = {name: planes for name, planes in both[0].items() if ".layers.0." in name}
    found, told = rounded(small, known)
    assert not [name for name in told if ".layers.0." in name] and len(told) == 8
    for name, planes in both[0].items():
        assert all(np.array_equal(*pair) for pair in zip(planes, found[name], strict=True))


def test_an_encoding_without_a_grid_is_refused(small):
    with pytest.raises(UnsupportedEncodingError, match="one after another"):
        rounded(small, stored=encoding("int8"))
