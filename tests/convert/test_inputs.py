"""Input files are hashed beside the work, and must stay what they were."""

from __future__ import annotations

import os

import pytest

from convert.checkpoint import Checkpoint
from convert.errors import ChangedInputError
from convert.inputs import Inputs, describe_source


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
