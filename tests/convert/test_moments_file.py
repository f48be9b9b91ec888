"""A file of moments comes back as it was written, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from convert.moments_file import KeptMoments, load, moments_digest, save

FEATURES = {"b": 3, "a": 2}
KEPT = KeptMoments(
    {"b": np.array([1, 2.5, 0], np.float32), "a": np.array([1e-30, 3e38], np.float32)},
    "d" * 64,
    {"an expert": 3, "another": 0},
)


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "out" / "moments-0.safetensors", KEPT)
    return tmp_path / "out" / "moments-0.safetensors"


def test_what_was_kept_comes_back(path):
    found = load(path, FEATURES)
    assert found.digest == KEPT.digest
    assert found.visits == KEPT.visits
    assert {name: each.tolist() for name, each in found.moments.items()} == {
        name: each.tolist() for name, each in KEPT.moments.items()
    }
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_equal_moments_are_equal_bytes(path, tmp_path):
    turned = KeptMoments(dict(reversed(KEPT.moments.items())), KEPT.digest, KEPT.visits)
    save(tmp_path / "again", turned)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_there_may_be_none(tmp_path):
    assert load(tmp_path / "none", FEATURES) is None


@pytest.mark.parametrize("features", [{"b": 3}, {"b": 3, "a": 3}, {**FEATURES, "c": 1}])
def test_those_of_another_model_do_not_count(path, features):
    assert load(path, features) is None


def test_a_torn_file_does_not_count(path):
    whole = path.read_bytes()
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert load(path, FEATURES) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_what_cannot_be_a_moment_does_not_count(tmp_path, bad):
    save(tmp_path / "bad", KeptMoments({"w": np.array([1, bad], np.float32)}, "d"))
    assert load(tmp_path / "bad", {"w": 2}) is None


def test_the_digest_is_of_names_and_values():
    moments = dict(KEPT.moments)
    assert moments_digest(dict(reversed(moments.items()))) == moments_digest(moments)
    renamed = {**moments, "c": moments["a"]}
    del renamed["a"]
    changed = {**moments, "a": np.nextafter(moments["a"], 0, dtype=np.float32)}
    assert len({moments_digest(each) for each in (moments, renamed, changed)}) == 3
