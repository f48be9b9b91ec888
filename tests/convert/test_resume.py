"""A run goes on where another stopped, exactly if both make the same of the same."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time

import pytest

from convert import stream
from convert.artifact import bytes_on_disk, partial_folder
from convert.errors import (
    ChangedInputError,
    DiskFullError,
    GateError,
    InterruptedRunError,
    OutputBusyError,
    OutputExistsError,
    ResumeError,
)
from convert.recipe import Artifact
from convert.resume import announcing_what_is_kept
from tests.support.runs import TINY_LLAMA, convert_tiny

TO = ("onnx:int8", "gaudi:bf16")


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(TINY_LLAMA, folder)
    return folder


@pytest.fixture
def writes(monkeypatch):
    """Counts the writes of the stream, and interrupts it at the one numbered ``stop``."""

    class Writes:
        count, stop = 0, None

    write_all = stream.write_all

    def counting(*given):
        if Writes.count == Writes.stop:
            raise InterruptedRunError("interrupted")
        Writes.count += 1
        write_all(*given)

    monkeypatch.setattr(stream, "write_all", counting)
    return Writes


def convert(out, model, *to, **options):
    return convert_tiny(out, *(to or TO), model=model, **{"gate": False, **options})


def interrupt(out, model, writes, *to, at=20, **options):
    """Begin a run that is interrupted after some writes."""
    writes.count, writes.stop = 0, at
    with pytest.raises(InterruptedRunError):
        convert(out, model, *to, **options)
    writes.count, writes.stop = 0, None


def contents(folders):
    return {
        path.relative_to(folder.parent): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def undisturbed(tmp_path, model, writes):
    """Contents of a run that nothing disturbed, and its number of writes."""
    made = contents(convert(tmp_path / "undisturbed", model))
    return made, writes.count


@pytest.mark.parametrize("at", [8, 20, 50])
def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path, model, writes, undisturbed, at
):
    expected, all_writes = undisturbed
    out = tmp_path / "out"
    interrupt(out, model, writes, at=at)
    assert {path.name for path in out.iterdir()} <= {
        ".onnx-int8.partial",
        ".gaudi-bf16.partial",
    }
    assert contents(convert(out, model)) == expected
    # Two threads may each have been half way through a job of two planes.
    assert all_writes - at <= writes.count <= all_writes - at + 2
    assert {path.name for path in out.iterdir()} == {"onnx-int8", "gaudi-bf16"}


def test_interruptions_add_up(tmp_path, model, writes, undisturbed):
    expected, all_writes = undisturbed
    for _ in range(3):
        interrupt(tmp_path / "out", model, writes, at=10)
    assert contents(convert(tmp_path / "out", model)) == expected
    assert writes.count <= all_writes - 30 + 3 * 2


def test_damage_to_what_was_written_is_repaired(tmp_path, model, writes, undisturbed):
    expected, _ = undisturbed
    out = tmp_path / "out"
    interrupt(out, model, writes)
    for path in out.rglob("*.safetensors"):
        path.write_bytes(b"\xa5" * path.stat().st_size)
    for path in out.rglob("*.data"):
        path.unlink()
    made = contents(convert(out, model))
    assert made == expected


def test_restart_discards_what_was_written(tmp_path, model, writes, undisturbed):
    expected, all_writes = undisturbed
    interrupt(tmp_path / "out", model, writes)
    assert contents(convert(tmp_path / "out", model, restart=True)) == expected
    assert writes.count == all_writes


def _kept(out):
    """What a run found, without the file in which it names itself."""
    found = contents(out.iterdir())
    return {path: content for path, content in found.items() if path.name != "lock"}


def test_another_recipe_is_refused_with_what_differs(tmp_path, model, writes):
    out = tmp_path / "out"
    interrupt(out, model, writes, "onnx:int8")
    before = _kept(out)
    with pytest.raises(ResumeError, match="--restart") as caught:
        convert(out, model, "onnx:int8", tokenizer=False)
    assert "layout" in str(caught.value)
    assert caught.value.exit_code == 2
    assert _kept(out) == before
    assert convert(out, model, "onnx:int8", tokenizer=False, restart=True)


def test_another_model_of_another_name_is_refused(tmp_path, model, writes):
    interrupt(tmp_path / "out", model, writes)
    other = model.rename(model.with_name("other"))
    with pytest.raises(ResumeError, match="model: model, now other"):
        convert(tmp_path / "out", other)


def test_a_changed_checkpoint_is_refused(tmp_path, model, writes):
    interrupt(tmp_path / "out", model, writes)
    weights = model / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ChangedInputError, match=r"model\.safetensors"):
        convert(tmp_path / "out", model)
    assert convert(tmp_path / "out", model, restart=True)


def finish_writing_then_fail(out, model, monkeypatch):
    """A run that knows the digest of its checkpoint when it is interrupted."""

    def fail(*_):
        raise InterruptedRunError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr("convert.pipeline._finish", fail)
        with pytest.raises(InterruptedRunError):
            convert(out, model)


def test_a_copy_of_the_checkpoint_is_known_by_its_digest(tmp_path, model, writes, monkeypatch):
    finish_writing_then_fail(tmp_path / "out", model, monkeypatch)
    os.utime(model / "model.safetensors", ns=(1, 1))
    writes.count = 0
    assert convert(tmp_path / "out", model)
    assert writes.count == 0


def test_a_change_that_kept_size_and_time_is_found_by_the_digest(tmp_path, model, monkeypatch):
    finish_writing_then_fail(tmp_path / "out", model, monkeypatch)
    weights = model / "model.safetensors"
    before, data = weights.stat(), bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChangedInputError, match="digest"):
        convert(tmp_path / "out", model)


def test_a_checkpoint_that_changes_while_it_is_read_is_refused(tmp_path, model, monkeypatch):
    write_layouts = stream.write_layouts

    def and_then_touch(*given, **options):
        written = write_layouts(*given, **options)
        os.utime(model / "model.safetensors", ns=(1, time.time_ns()))
        return written

    monkeypatch.setattr("convert.pipeline.write_layouts", and_then_touch)
    with pytest.raises(ChangedInputError):
        convert(tmp_path / "out", model)


def test_a_checkpoint_from_gguf_is_known_again(tmp_path, model, writes):
    (folder,) = convert(tmp_path / "source", model, "gguf:q8_0")
    gguf = folder / "model.gguf"
    interrupt(tmp_path, gguf, writes, "onnx:int8")
    assert convert(tmp_path, gguf, "onnx:int8")


def interrupt_between_artifacts(out, model, monkeypatch):
    """A run that is interrupted when one artifact is published and the other is not."""
    publish, published = stream.Path.rename, []

    def once(self, target):
        if self.name == "artifact" and published:
            raise InterruptedRunError("interrupted")
        published.append(target)
        return publish(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(stream.Path, "rename", once)
        with pytest.raises(InterruptedRunError):
            convert(out, model)


def test_what_was_published_already_is_not_made_again(
    tmp_path, model, writes, undisturbed, monkeypatch
):
    expected, _ = undisturbed
    interrupt_between_artifacts(tmp_path / "out", model, monkeypatch)
    writes.count = 0
    assert contents(convert(tmp_path / "out", model)) == expected
    assert writes.count == 0


def test_a_run_killed_while_it_cleaned_up_had_finished(tmp_path, model, writes, undisturbed):
    expected, _ = undisturbed
    convert(tmp_path / "out", model)
    for name in ("onnx-int8", "gaudi-bf16"):
        lock = partial_folder(tmp_path / "out", name) / "lock"
        lock.parent.mkdir()
        lock.touch()
    writes.count = 0
    assert contents(convert(tmp_path / "out", model)) == expected
    assert writes.count == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"onnx-int8", "gaudi-bf16"}


def test_what_is_there_already_is_not_said_to_be_kept_for_going_on(tmp_path, model):
    """It was finished without a gate: a run with one neither trusts nor overwrites it."""
    out = tmp_path / "out"
    convert(out, model, "onnx:int8")
    leftover = partial_folder(out, "onnx-int8")
    leftover.mkdir()
    (leftover / "journal").touch()
    said = []
    with (
        pytest.raises(OutputExistsError),
        announcing_what_is_kept(out, [Artifact(format="onnx", encoding="int8")], said.append),
    ):
        convert(out, model, "onnx:int8", gate=True)
    assert said == []


def test_what_was_published_is_not_trusted_with_another_checkpoint(tmp_path, model, monkeypatch):
    out = tmp_path / "out"
    interrupt_between_artifacts(out, model, monkeypatch)
    with pytest.raises(OutputExistsError):
        convert(out, model, gate=True)
    shutil.rmtree(out / ".gaudi-bf16.partial")
    with pytest.raises(OutputExistsError):
        convert(out, model)


def test_what_was_written_counts_as_room(tmp_path, model, writes, monkeypatch):
    interrupt(tmp_path / "out", model, writes, "onnx:f32", at=40)
    written = bytes_on_disk(tmp_path / "out" / ".onnx-f32.partial")
    size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
    usage = shutil.disk_usage(tmp_path)

    def leave(free):
        monkeypatch.setattr("convert.room.shutil.disk_usage", lambda _: usage._replace(free=free))

    leave(size - 2 * written)
    with pytest.raises(DiskFullError):
        convert(tmp_path / "out", model, "onnx:f32")
    leave(size - written)
    assert convert(tmp_path / "out", model, "onnx:f32")


def test_a_disk_that_fills_up_half_way_keeps_what_was_written(
    tmp_path, model, writes, undisturbed, monkeypatch
):
    expected, all_writes = undisturbed
    pwrite, room = os.pwrite, [300_000]

    def until_full(descriptor, data, offset):
        if room[0] < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= len(data)
        return pwrite(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(stream.os, "pwrite", until_full)
        with pytest.raises(DiskFullError, match="disk is full") as caught:
            convert(tmp_path / "out", model)
    assert caught.value.exit_code == 5
    assert not {"onnx-int8", "gaudi-bf16"} & {path.name for path in (tmp_path / "out").iterdir()}
    writes.count = 0
    assert contents(convert(tmp_path / "out", model)) == expected
    assert writes.count < all_writes


def test_a_failed_gate_leaves_nothing_to_go_on_from(tmp_path, model, monkeypatch):
    def fail(*_):
        raise GateError("far off")

    monkeypatch.setattr("convert.pipeline._gate", fail)
    with pytest.raises(GateError, match="2 of 2 artifacts failed: onnx-int8, gaudi-bf16") as caught:
        convert(tmp_path / "out", model)
    assert "gaudi-bf16: far off" in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_second_run_at_the_same_time_is_refused(tmp_path, model, monkeypatch):
    refused = []

    def run_again(*_):
        with contextlib.suppress(OutputBusyError):
            convert(tmp_path / "out", model, "onnx:f32")
            return
        refused.append(True)

    monkeypatch.setattr(
        "convert.pipeline.write_layouts",
        lambda *given, **options: run_again() or stream.write_layouts(*given, **options),
    )
    assert convert(tmp_path / "out", model)
    assert refused
