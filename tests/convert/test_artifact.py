"""A folder is there wholly or not at all."""

from __future__ import annotations

import pytest

from convert.artifact import PendingFolder
from convert.errors import OutputExistsError


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


def test_what_an_earlier_crash_left_is_replaced(tmp_path):
    stale = PendingFolder(tmp_path, "a")
    (stale.path / "stale").write_text("x")
    with PendingFolder(tmp_path, "a") as folder:
        assert not list(folder.path.iterdir())


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
