"""What every target and its files get for free."""

from __future__ import annotations

from targets.base import OutputFile


def test_a_whole_file_knows_its_size():
    assert OutputFile.whole("a", b"xyz") == OutputFile("a", 3, ((0, b"xyz"),))
