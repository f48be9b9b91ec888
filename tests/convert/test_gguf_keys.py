"""An architecture's own keys are checked one by one, and named if they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import BadHeaderError, UnsupportedConfigError
from convert.gguf_keys import ArchitectureKeys
from convert.sources.gguf_file import GgufFile


def keys(tmp_path, **own):
    metadata = {"general.name": "x", **{f"bloom.{key}": value for key, value in own.items()}}
    return ArchitectureKeys(GgufFile(tmp_path, 3, metadata, {}), "bloom", set(own) | {"c"})


def test_keys_of_others_are_not_read(tmp_path):
    assert keys(tmp_path, a=1).own == {"a": 1}


def test_a_key_without_a_known_meaning_is_refused(tmp_path):
    file = GgufFile(tmp_path, 3, {"bloom.logit_scale": 2.0}, {})
    with pytest.raises(UnsupportedConfigError, match=r"bloom\.logit_scale"):
        ArchitectureKeys(file, "bloom", {"block_count"})


def test_a_size_that_others_imply_may_be_left_out(tmp_path):
    keys(tmp_path, a=4).expect("c", 7, "that of a")


def test_a_size_that_others_contradict_is_refused(tmp_path):
    with pytest.raises(UnsupportedConfigError, match=r"bloom\.a") as caught:
        keys(tmp_path, a=4).expect("a", 7, "that of b")
    assert "that of b, 7" in str(caught.value)


def test_one_value_for_all_layers(tmp_path):
    assert keys(tmp_path, a=np.array([3, 3])).integer("a") == 3
    with pytest.raises(UnsupportedConfigError, match="one value for all layers"):
        keys(tmp_path, a=np.array([3, 4])).integer("a")


@pytest.mark.parametrize("value", [0, -1, True, "2", 2.0])
def test_what_is_no_positive_integer_is_refused(tmp_path, value):
    with pytest.raises(BadHeaderError, match=r"bloom\.a"):
        keys(tmp_path, a=value).integer("a")


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "2"])
def test_what_is_no_positive_number_is_refused(tmp_path, value):
    with pytest.raises(BadHeaderError, match=r"bloom\.a"):
        keys(tmp_path, a=value).number("a")


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(BadHeaderError, match=r"bloom\.c is missing"):
        keys(tmp_path, a=1).integer("c")
