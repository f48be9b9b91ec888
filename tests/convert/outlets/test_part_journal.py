"""What the journal of parts remembers, and what it forgets of a torn line."""

from __future__ import annotations

from convert.outlets.part_journal import Begun, PartJournal, Sent

UPLOAD, PART = Begun(100, 10, "id"), Sent("0" * 32, "etag")


def test_everything_is_there_again(tmp_path):
    journal = PartJournal(tmp_path / "parts")
    assert journal.is_empty
    assert not (tmp_path / "parts").exists()
    journal.begin("a/x", UPLOAD)
    journal.record("a/x", 3, PART)
    journal.publish(["a/x", "a/y"])
    again = PartJournal(tmp_path / "parts")
    assert again.uploads == {"a/x": UPLOAD}
    assert again.sent("a/x") == {3: PART}
    assert again.objects == {"a/x", "a/y"}
    assert not again.is_empty


def test_a_new_upload_takes_the_place_of_the_old(tmp_path):
    journal = PartJournal(tmp_path / "parts")
    journal.begin("x", UPLOAD)
    journal.record("x", 3, PART)
    journal.begin("x", Begun(100, 10, "other"))
    assert not PartJournal(tmp_path / "parts").sent("x")


def test_a_torn_line_and_what_follows_was_never_written(tmp_path):
    journal = PartJournal(tmp_path / "parts")
    journal.begin("x", UPLOAD)
    journal.record("x", 1, PART)
    with (tmp_path / "parts").open("ab") as file:
        file.write(b'["x", 2, "00')
    again = PartJournal(tmp_path / "parts")
    again.record("x", 3, PART)
    assert set(PartJournal(tmp_path / "parts").sent("x")) == {1, 3}


def test_a_line_of_something_else_ends_it(tmp_path):
    (tmp_path / "parts").write_text('["x", 2, "0", "e"]\n')
    assert PartJournal(tmp_path / "parts").is_empty


def test_removed(tmp_path):
    journal = PartJournal(tmp_path / "parts")
    journal.begin("x", UPLOAD)
    journal.remove()
    assert journal.is_empty
    assert not (tmp_path / "parts").exists()
