"""A run that has no room is refused before it reads or computes anything."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from convert import room
from convert.checkpoint import open_checkpoint
from convert.errors import DiskFullError, OutOfMemoryError
from convert.pipeline import RunRequest, run
from convert.preparation import open_source, resolve_encoding
from convert.progress import Silent
from convert.recipe import Artifact, Recipe
from convert.room import require_room
from tests.support.runs import TINY_LLAMA

MIB = 1 << 20


def required(tmp_path, calibrate="sample", **artifact):
    checkpoint = open_checkpoint(str(TINY_LLAMA))
    made = resolve_encoding(Artifact(format="ipex", encoding="int4_sym", **artifact))
    recipe = Recipe(name="r", calibrate=calibrate, artifacts=(made,))
    require_room(checkpoint, open_source(checkpoint), recipe, [made], tmp_path, 16 * MIB)


def free_memory(monkeypatch, nbytes):
    monkeypatch.setattr(room, "available_memory", lambda: nbytes)


def free_disk(monkeypatch, nbytes):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=nbytes))


def test_what_has_room_passes(tmp_path, monkeypatch):
    required(tmp_path, method="gptq")
    free_memory(monkeypatch, 64 * MIB)
    required(tmp_path, calibrate="none")


def test_too_little_memory_is_refused_with_what_texts_take(tmp_path, monkeypatch):
    free_memory(monkeypatch, 64 * MIB)
    with pytest.raises(OutOfMemoryError, match="more memory than is free") as caught:
        required(tmp_path, method="gptq")
    assert "for texts that run through the model" in str(caught.value)
    free_memory(monkeypatch, 64 * MIB - 1)
    with pytest.raises(OutOfMemoryError, match="more memory than is free"):
        required(tmp_path, calibrate="none")


def test_a_method_is_not_begun_where_its_result_has_no_room(tmp_path, monkeypatch):
    free_disk(monkeypatch, 1000)
    with pytest.raises(DiskFullError, match="do not fit on the disk"):
        required(tmp_path, method="gptq")
    required(tmp_path)  # asked again when the files are laid out, which is at once


def test_a_run_asks_before_it_computes(tmp_path, monkeypatch):
    free_memory(monkeypatch, 0)
    recipe = Recipe(name="r", model=str(TINY_LLAMA), artifacts=(Artifact(format="onnx"),))
    with pytest.raises(OutOfMemoryError) as caught:
        run(RunRequest(recipe, tmp_path, 1, gate=False), Silent())
    assert caught.value.exit_code == 5
    assert not shutil.os.listdir(tmp_path)
