"""Counting parameters and free memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.errors import BadHeaderError, MissingFileError, OutOfMemoryError
from golden import memory
from golden.memory import OVERHEAD, available_memory, count_parameters, require_memory


def save(folder, name, *shape):
    save_file({name: np.zeros(shape, np.float16)}, folder / f"{name}.safetensors")


def test_parameters_of_shards(tmp_path):
    save(tmp_path, "a", 3, 5)
    save(tmp_path, "b", 7)
    assert count_parameters(tmp_path) == 22


def test_only_the_shards_of_the_index_count(tmp_path):
    save(tmp_path, "a", 3, 5)
    save(tmp_path, "duplicate", 3, 5)
    index = {"weight_map": {"a": "a.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert count_parameters(tmp_path) == 15


def test_parameters_of_pickles_are_taken_as_16_bit(tmp_path):
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(bytes(10))
    (tmp_path / "pytorch_model-00002-of-00002.bin").write_bytes(bytes(4))
    assert count_parameters(tmp_path) == 7


def test_no_weights(tmp_path):
    with pytest.raises(MissingFileError, match="no weights"):
        count_parameters(tmp_path)


def test_a_shard_of_the_index_is_missing(tmp_path):
    index = {"weight_map": {"a": "a.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MissingFileError, match=r"a\.safetensors"):
        count_parameters(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_a_damaged_index(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(BadHeaderError, match="damaged"):
        count_parameters(tmp_path)


def test_the_border_between_fitting_and_not(tmp_path, monkeypatch):
    save(tmp_path, "a", 3, 5)
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * 15 + OVERHEAD)
    require_memory(tmp_path)
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * 15 + OVERHEAD - 1)
    with pytest.raises(OutOfMemoryError, match="too large"):
        require_memory(tmp_path)


def test_this_machine_has_some_memory():
    assert 1 << 24 < available_memory() < 1 << 50


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_control_groups_of_version_2_limit_at_every_level(tmp_path):
    (tmp_path / "self").write_text("0::/outer/inner\n")
    stat = {"memory__stat": "anon 1\ninactive_file 20\n"}
    group(tmp_path / "fs", **{"memory__max": "max\n", "memory__current": "5\n", **stat})
    group(tmp_path / "fs/outer", **{"memory__max": "100\n", "memory__current": "90\n", **stat})
    inner = {"memory__max": "max\n", "memory__current": "9\n", **stat}
    group(tmp_path / "fs/outer/inner", **inner)
    assert memory._cgroup_available(tmp_path / "fs", tmp_path / "self") == [100 - 90 + 20]


def test_control_groups_of_version_1(tmp_path):
    (tmp_path / "self").write_text("7:cpu:/x\n4:memory:/not/visible/here\n")
    files = {
        "memory__limit_in_bytes": "100",
        "memory__usage_in_bytes": "130",
        "memory__stat": "total_inactive_file 10\n",
    }
    group(tmp_path / "fs/memory", **files)
    assert memory._cgroup_available(tmp_path / "fs", tmp_path / "self") == [0]


def test_without_control_groups(tmp_path):
    assert memory._cgroup_available(tmp_path, tmp_path / "none") == []
