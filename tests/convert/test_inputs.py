"""Input files are hashed beside the work, and must stay what they were."""

from __future__ import annotations

import os
from threading import Event

import pytest

from convert.checkpoint import Checkpoint
from convert.errors import ChangedInputError, UnavailableSourceError
from convert.inputs import Inputs, describe_source
from convert.sources.downloads import Downloads


@pytest.fixture
def checkpoint(tmp_path):
    files = (tmp_path / "config.json", tmp_path / "model.safetensors")
    for path in files:
        path.write_text(path.name)
    return Checkpoint("m", tmp_path, {}, {}, files)


def test_the_background_finds_what_the_foreground_finds(checkpoint):
    record = Inputs(checkpoint).record()
    assert record == describe_source(checkpoint)
    assert [file.path for file in record.files] == ["config.json", "model.safetensors"]


def test_an_error_of_the_background_is_raised_where_the_hashes_are_needed(checkpoint):
    inputs = Inputs(checkpoint)
    inputs.record()
    checkpoint.files[1].unlink()
    with pytest.raises(FileNotFoundError):
        inputs.require_unchanged()


def test_files_on_their_way_are_known_at_once_and_hashed_when_they_have_come(tmp_path):
    here, coming = tmp_path / "config.json", tmp_path / "model.safetensors"
    here.write_bytes(b"{}")
    may_come = Event()

    def fetch(path, advance):
        assert may_come.wait(30)
        path.write_bytes(b"weights")

    downloads = Downloads({coming: 7}, fetch)
    inputs = Inputs(Checkpoint("m@1", tmp_path, {}, {}, (here, coming), downloads))
    assert inputs.states == {"config.json": [2, 0], "model.safetensors": [7, 0]}
    assert not coming.exists()
    may_come.set()
    assert [file.size for file in inputs.record().files] == [2, 7]
    inputs.require_unchanged()
    coming.write_bytes(b"weigh")
    with pytest.raises(ChangedInputError, match=r"model\.safetensors"):
        inputs.require_unchanged()


def test_a_file_that_cannot_be_had_is_an_error_where_the_hashes_are_needed(tmp_path):
    def fetch(path, advance):
        raise UnavailableSourceError("no connection")

    coming = tmp_path / "model.safetensors"
    downloads = Downloads({coming: 7}, fetch)
    inputs = Inputs(Checkpoint("m@1", tmp_path, {}, {}, (coming,), downloads))
    with pytest.raises(UnavailableSourceError):
        inputs.record()


def test_files_that_stay_pass(checkpoint):
    inputs = Inputs(checkpoint)
    inputs.require_unchanged()
    assert inputs.states["model.safetensors"][0] == len("model.safetensors")


def test_another_size_is_refused(checkpoint):
    inputs = Inputs(checkpoint)
    before = checkpoint.files[1].stat()
    checkpoint.files[1].write_text("longer than it was before")
    os.utime(checkpoint.files[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChangedInputError, match=r"model\.safetensors"):
        inputs.require_unchanged()


def test_another_time_is_refused(checkpoint):
    inputs = Inputs(checkpoint)
    os.utime(checkpoint.files[1], ns=(1, 1))
    with pytest.raises(ChangedInputError, match="--restart") as caught:
        inputs.require_unchanged()
    assert caught.value.exit_code == 6
