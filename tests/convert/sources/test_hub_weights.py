from __future__ import annotations

import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load, save

from convert.checkpoint import open_checkpoint
from convert.errors import (
    BadHeaderError,
    DiskFullError,
    InterruptedRunError,
    MissingFileError,
    TensorMismatchError,
    UnavailableSourceError,
    UnsafePathError,
    UnsupportedConfigError,
)
from convert.sources import downloads as downloads_module
from convert.weights import read_float32
from tests.support.fake_hub import COMMIT, LATER, Body, shards

FIRST, SECOND = "m-1.safetensors", "m-2.safetensors"
PATIENCE = 30.0


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def stored(file, name):
    return load(shards()[file])[name].astype("f4")


def cached(checkpoint):
    return sorted(path.name for path in checkpoint.folder.iterdir() if path.is_file())


def test_everything_is_known_before_any_shard_has_come(hub):
    checkpoint = open_checkpoint("org/name")
    assert checkpoint.label == f"org/name@{COMMIT}"
    assert {name: (w.shape, w.dtype.value) for name, w in checkpoint.weights.items()} == {
        "a": ((3, 2), "f32"),
        "b": ((100_000,), "f16"),
        "c": ((2,), "f32"),
    }
    assert [path.name for path in checkpoint.files] == [
        "config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        FIRST,
        SECOND,
    ]
    assert all(path.parent == checkpoint.folder for path in checkpoint.files)
    assert checkpoint.downloads.bytes_total == len(shards()[FIRST]) + len(shards()[SECOND])
    assert checkpoint.downloads.bytes_done == 0
    assert all(asked is not None for file in (FIRST, SECOND) for asked in hub.asked_for(file))
    assert not {FIRST, SECOND} & set(cached(checkpoint))


def test_the_first_shard_is_read_while_the_second_is_on_its_way(hub, pool):
    hub.bodies[SECOND] = Body(held=50_000)
    checkpoint = open_checkpoint("org/name")
    np.testing.assert_array_equal(read_float32(checkpoint.weights["a"]), stored(FIRST, "a"))
    later = pool.submit(read_float32, checkpoint.weights["b"])
    assert hub.bodies[SECOND].is_held.wait(PATIENCE)
    np.testing.assert_array_equal(read_float32(checkpoint.weights["a"]), stored(FIRST, "a"))
    assert SECOND not in cached(checkpoint)
    assert not later.done()
    hub.bodies[SECOND].go_on.set()
    np.testing.assert_array_equal(later.result(PATIENCE), stored(SECOND, "b"))
    assert checkpoint.downloads.bytes_done == checkpoint.downloads.bytes_total


def test_shards_that_no_index_names_are_not_downloaded(hub):
    checkpoint = open_checkpoint("org/name")
    checkpoint.await_file(checkpoint.folder / SECOND)
    checkpoint.await_file(checkpoint.folder / FIRST)
    assert hub.asked_for("consolidated.safetensors") == []


def test_everything_comes_from_the_commit_that_was_settled_first(hub):
    other = {**shards(), FIRST: save({"a": np.zeros((3, 2), "f4")})}
    checkpoint = open_checkpoint("org/name")
    hub.commits[LATER], hub.branches["main"] = other, LATER
    np.testing.assert_array_equal(read_float32(checkpoint.weights["a"]), stored(FIRST, "a"))
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.asked if "/resolve/" in path)


def test_a_later_run_finds_what_an_earlier_one_brought(hub):
    first = open_checkpoint("org/name")
    hub.refusals[SECOND] = (500, "")
    first.weights["a"].read_rows(0, 1)
    with pytest.raises(UnavailableSourceError):
        first.weights["b"].read_rows(0, 1)
    del hub.refusals[SECOND]
    hub.asked.clear()
    again = open_checkpoint("org/name")
    assert again.downloads.sizes.keys() == {again.folder / SECOND}
    np.testing.assert_array_equal(read_float32(again.weights["a"]), stored(FIRST, "a"))
    np.testing.assert_array_equal(read_float32(again.weights["b"]), stored(SECOND, "b"))
    assert hub.asked_for(FIRST) == []


def test_a_file_has_the_same_state_before_and_after_it_came_and_in_a_later_run(hub):
    checkpoint = open_checkpoint("org/name")
    before = [checkpoint.state_of(path) for path in checkpoint.files]
    assert before == [[len(shards()[path.name]), 0] for path in checkpoint.files]
    for path in checkpoint.files:
        checkpoint.await_file(path)
    assert [checkpoint.state_of(path) for path in checkpoint.files] == before
    again = open_checkpoint("org/name")
    assert not again.downloads.sizes
    assert [again.state_of(path) for path in again.files] == before


def test_offline_with_everything_in_the_cache(hub, monkeypatch):
    checkpoint = open_checkpoint("org/name")
    for path in checkpoint.files:
        checkpoint.await_file(path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    again = open_checkpoint("org/name")
    assert again.label == checkpoint.label
    np.testing.assert_array_equal(read_float32(again.weights["b"]), stored(SECOND, "b"))
    assert hub.asked == []


def test_one_file_without_an_index(hub):
    data = save({"a": np.ones((2, 2), "f2")})
    hub.commits[COMMIT] = {"config.json": b"{}", "model.safetensors": data}
    checkpoint = open_checkpoint("org/name")
    assert "model.safetensors" not in cached(checkpoint)
    np.testing.assert_array_equal(read_float32(checkpoint.weights["a"]), np.ones((2, 2)))


def test_a_connection_that_is_cut_is_taken_up_where_it_was(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.bodies[SECOND] = Body(cut=50_000, cuts=3)
    checkpoint = open_checkpoint("org/name")
    np.testing.assert_array_equal(read_float32(checkpoint.weights["b"]), stored(SECOND, "b"))
    assert "bytes=50000-" in hub.asked_for(SECOND)
    first, second = (len(shards()[name]) for name in (FIRST, SECOND))
    assert checkpoint.downloads.bytes_done in {second, first + second}


@pytest.mark.filterwarnings("ignore:Not enough free disk space")
class TestErrors:
    """Each is raised by the weight that cannot be read, with what to do."""

    @pytest.mark.parametrize(
        ("status", "code", "advice"),
        [(401, "", "hf auth login"), (403, "GatedRepo", "terms"), (503, "", "connection")],
    )
    def test_the_hub_refuses_the_shard_after_its_header(self, hub, status, code, advice):
        checkpoint = open_checkpoint("org/name")
        hub.refusals[SECOND] = (status, code)
        with pytest.raises(
            UnavailableSourceError, match=r"m-2\.safetensors of 'org/name'"
        ) as caught:
            checkpoint.weights["b"].read_rows(0, 2)
        assert advice in str(caught.value)

    def test_the_shard_is_gone_after_its_header(self, hub):
        checkpoint = open_checkpoint("org/name")
        hub.refusals[SECOND] = (404, "EntryNotFound")
        with pytest.raises(MissingFileError, match=r"m-2\.safetensors of 'org/name'"):
            checkpoint.weights["b"].read_rows(0, 2)

    def test_offline_before_the_shard_has_come(self, hub, monkeypatch):
        checkpoint = open_checkpoint("org/name")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(UnavailableSourceError, match=r"m-2\.safetensors") as caught:
            checkpoint.weights["b"].read_rows(0, 2)
        assert "unset HF_HUB_OFFLINE" in str(caught.value)

    def test_the_connection_is_cut_again_and_again(self, hub):
        hub.bodies[SECOND] = Body(cut=50_000, cuts=100)
        checkpoint = open_checkpoint("org/name")
        with pytest.raises(UnavailableSourceError, match=r"m-2\.safetensors") as caught:
            checkpoint.weights["b"].read_rows(0, 2)
        assert "run the same command again" in str(caught.value)

    def test_the_disk_is_full(self, hub):
        checkpoint = open_checkpoint("org/name")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(shards()[SECOND]) // 2, before[1]))
        try:
            with pytest.raises(DiskFullError, match=r"m-2\.safetensors") as caught:
                checkpoint.weights["b"].read_rows(0, 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.exit_code == 5

    def test_the_disk_has_no_room_to_begin_with(self, hub, monkeypatch):
        needed = len(shards()[FIRST]) + len(shards()[SECOND])
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed))
        open_checkpoint("org/name")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - 1))
        with pytest.raises(DiskFullError, match="org/name") as caught:
            open_checkpoint("org/name")
        assert f"{needed:,} bytes free" in caught.value.expected

    def test_what_another_commit_brought_needs_no_room(self, hub, monkeypatch):
        first = open_checkpoint("org/name")
        for path in first.files:
            first.await_file(path)
        hub.commits[LATER] = {**shards(), "config.json": b"{}"}
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        later = open_checkpoint("org/name", revision=LATER)
        np.testing.assert_array_equal(read_float32(later.weights["b"]), stored(SECOND, "b"))

    def test_only_what_changed_since_another_commit_needs_room(self, hub, monkeypatch):
        first = open_checkpoint("org/name")
        for path in first.files:
            first.await_file(path)
        hub.commits[LATER] = {**shards(), FIRST: save({"a": np.zeros((3, 2), "f4")})}
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        with pytest.raises(DiskFullError, match="org/name") as caught:
            open_checkpoint("org/name", revision=LATER)
        assert f"{len(shards()[FIRST]):,} bytes free" in caught.value.expected

    def test_the_room_cannot_be_known(self, hub, monkeypatch):
        def full(path):
            hub.refusals[FIRST] = (401, "")
            return SimpleNamespace(free=0)

        monkeypatch.setattr(shutil, "disk_usage", full)
        with pytest.raises(UnavailableSourceError, match=r"m-1\.safetensors"):
            open_checkpoint("org/name")

    def test_another_file_comes_than_was_announced(self, hub):
        other = save({"b": np.arange(100_000, dtype="f2"), "d": np.ones(2, "f4")})
        assert len(other) == len(shards()[SECOND])
        hub.bodies[SECOND] = Body(sent=other)
        checkpoint = open_checkpoint("org/name")
        with pytest.raises(BadHeaderError, match=r"m-2\.safetensors is not the file") as caught:
            checkpoint.weights["b"].read_rows(0, 2)
        assert caught.value.found == "another header"
        assert str((checkpoint.folder / SECOND).resolve()) in caught.value.remedy

    def test_what_comes_is_no_safetensors(self, hub):
        hub.bodies[SECOND] = Body(sent=bytes(len(shards()[SECOND])))
        checkpoint = open_checkpoint("org/name")
        with pytest.raises(BadHeaderError, match=r"m-2\.safetensors is not the file"):
            checkpoint.weights["b"].read_rows(0, 2)

    def test_the_header_is_refused(self, hub):
        hub.refusals[SECOND] = (403, "GatedRepo")
        with pytest.raises(UnavailableSourceError, match=r"m-2\.safetensors of 'org/name'"):
            open_checkpoint("org/name")

    def test_the_index_names_a_file_that_the_hub_does_not_have(self, hub):
        hub.commits[COMMIT].pop(SECOND)
        with pytest.raises(MissingFileError, match=r"m-2\.safetensors"):
            open_checkpoint("org/name")

    def test_the_index_disagrees_with_a_header(self, hub):
        hub.commits[COMMIT][SECOND] = save({"b": np.ones(2, "f4")})
        with pytest.raises(TensorMismatchError, match="'c'"):
            open_checkpoint("org/name")

    def test_the_index_leads_outside(self, hub):
        index = shards()["model.safetensors.index.json"].replace(b"m-2.", b"../m-2.")
        hub.commits[COMMIT]["model.safetensors.index.json"] = index
        with pytest.raises(UnsafePathError):
            open_checkpoint("org/name")

    def test_a_quantized_shard_costs_no_download(self, hub):
        hub.commits[COMMIT][FIRST] = save({"a": np.ones((3, 2), "i1")})
        with pytest.raises(UnsupportedConfigError, match="I8"):
            open_checkpoint("org/name")
        assert hub.asked_for(SECOND, "HEAD") == []


def test_closing_frees_who_reads_and_breaks_the_download_off(hub, pool, monkeypatch):
    monkeypatch.setattr(downloads_module, "_SECONDS_TO_CLEAN_UP", 0.01)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.bodies[SECOND] = Body(held=50_000)
    checkpoint = open_checkpoint("org/name")
    reading = pool.submit(checkpoint.weights["b"].read_rows, 0, 2)
    assert hub.bodies[SECOND].is_held.wait(PATIENCE)
    checkpoint.close()
    assert isinstance(reading.exception(PATIENCE), InterruptedRunError)
    hub.bodies[SECOND].go_on.set()
    checkpoint.downloads._thread.join(PATIENCE)
    assert not checkpoint.downloads._thread.is_alive()
    assert not {FIRST, SECOND} & set(cached(checkpoint))
