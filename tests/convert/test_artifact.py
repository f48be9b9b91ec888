"""A folder is there wholly or not at all."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from convert import artifact
from convert.artifact import PendingFolder, bytes_on_disk
from convert.errors import (
    ChangedInputError,
    DiskFullError,
    GateError,
    InterruptedRunError,
    NonFiniteWeightError,
    OutOfMemoryError,
    OutputBusyError,
    OutputExistsError,
    UnsupportedError,
    UsageError,
)


def test_a_published_folder_appears_under_its_name(tmp_path):
    with PendingFolder(tmp_path / "out", "a") as folder:
        (folder.path / "deep").mkdir()
        (folder.path / "deep" / "file").write_text("x")
        assert not folder.final.exists()
        folder.publish()
    assert (tmp_path / "out" / "a" / "deep" / "file").read_text() == "x"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_a_folder_that_is_not_published_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), PendingFolder(tmp_path, "a") as folder:
        (folder.path / "file").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def crash(folder):
    """End like a killed process: the lock is gone, everything else stays."""
    os.close(folder._lock)


def test_what_an_earlier_crash_left_without_a_journal_is_replaced(tmp_path):
    stale = PendingFolder(tmp_path, "a")
    (stale.path / "stale").write_text("x")
    crash(stale)
    with PendingFolder(tmp_path, "a") as folder:
        assert not list(folder.path.iterdir())


@pytest.fixture
def crashed(tmp_path):
    folder = PendingFolder(tmp_path, "a")
    (folder.path / "file").write_text("x")
    folder.journal.write_text("y")
    crash(folder)
    return tmp_path


def test_what_an_earlier_crash_left_with_a_journal_is_there_again(crashed):
    with PendingFolder(crashed, "a") as folder:
        assert (folder.path / "file").read_text() == "x"
        assert folder.journal.read_text() == "y"


def test_what_an_earlier_crash_left_can_be_discarded(crashed):
    with PendingFolder(crashed, "a", restart=True) as folder:
        assert not list(folder.path.iterdir())
        assert not folder.journal.exists()


@pytest.mark.parametrize(
    "error",
    [
        InterruptedRunError("interrupted"),
        DiskFullError("full"),
        OutOfMemoryError("memory"),
        ChangedInputError("changed"),
        UsageError("the runtime is not installed"),
        OSError("the network is gone"),
        KeyboardInterrupt(),
    ],
)
def test_an_error_that_may_pass_keeps_what_was_written(crashed, error):
    with pytest.raises(type(error)), PendingFolder(crashed, "a"):
        raise error
    with PendingFolder(crashed, "a") as folder:
        assert (folder.path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "error", [GateError("far off"), NonFiniteWeightError("NaN"), UnsupportedError("no")]
)
def test_an_error_that_would_come_again_leaves_nothing(crashed, error):
    with pytest.raises(type(error)), PendingFolder(crashed, "a"):
        raise error
    assert not list(crashed.iterdir())


def test_publishing_removes_the_journal(crashed):
    with PendingFolder(crashed, "a") as folder:
        folder.publish()
    assert [path.name for path in crashed.iterdir()] == ["a"]
    assert [path.name for path in (crashed / "a").iterdir()] == ["file"]


def test_two_runs_at_once_are_refused(tmp_path):
    with PendingFolder(tmp_path, "a") as folder:
        (folder.path / "file").write_text("x")
        with pytest.raises(OutputBusyError, match="another run"):
            PendingFolder(tmp_path, "a")
        assert (folder.path / "file").read_text() == "x"
    with PendingFolder(tmp_path, "a"):
        pass


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Between opening and locking, the run that held the lock ended and removed it."""
    flock, removed = fcntl.flock, []

    def flock_too_late(descriptor, how):
        if not removed:
            removed.append(tmp_path / ".a.partial" / "lock")
            removed[0].unlink()
        flock(descriptor, how)

    monkeypatch.setattr(artifact.fcntl, "flock", flock_too_late)
    with PendingFolder(tmp_path, "a"), pytest.raises(OutputBusyError):
        PendingFolder(tmp_path, "a")


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(artifact.fcntl, "flock", refuse)
    with PendingFolder(tmp_path, "a") as folder:
        assert folder.publish().is_dir()


def test_holes_take_no_space_on_disk(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 30)
        file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    assert 1 << 20 <= bytes_on_disk(tmp_path) < 2 << 20


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "precious").write_text("x")
    with pytest.raises(OutputExistsError, match="already exists"):
        PendingFolder(tmp_path, "a")
    assert (tmp_path / "a" / "precious").read_text() == "x"


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(OutputExistsError), PendingFolder(tmp_path, "a") as folder:
        (tmp_path / "a").mkdir()
        folder.publish()
    assert not list((tmp_path / "a").iterdir())


def test_a_failed_folder_can_be_set_aside(tmp_path):
    for text in ("first", "second"):
        with PendingFolder(tmp_path, "a") as folder:
            (folder.path / "file").write_text(text)
            kept = folder.set_aside()
    assert kept.name == "a.failed"
    assert (kept / "file").read_text() == "second"
    assert not (tmp_path / "a").exists()
