"""An artifact of ranks is one with their description."""

from __future__ import annotations

from targets.ranks.folders import DESCRIPTION, has_ranks, rank_folder


def test_the_description_makes_it_one(tmp_path):
    (tmp_path / rank_folder(0)).mkdir()
    assert not has_ranks(tmp_path)
    (tmp_path / DESCRIPTION).write_text("{}")
    assert has_ranks(tmp_path)
    assert rank_folder(11) == "rank-11"
