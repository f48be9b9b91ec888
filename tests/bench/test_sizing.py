"""The page of sizes is what the planner says today."""

from __future__ import annotations

import pytest

from bench import sizing
from bench.sizing import NETWORKS, PAGE, WORKERS, cost, page, section


def test_the_page_says_what_the_planner_says_of_one_model():
    text = PAGE.read_text()
    assert "\n".join(section("70B")) in text, "run python -m bench.sizing"
    for part in page(()).split("\n\n"):
        assert part in text, "run python -m bench.sizing"


@pytest.mark.slow
def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m bench.sizing"


def test_more_workers_and_faster_networks_never_take_longer():
    times = [[cost("70B", count, network).seconds for network in NETWORKS] for count in WORKERS]
    assert all(row == sorted(row, reverse=True) for row in times)
    assert all(list(column) == sorted(column, reverse=True) for column in zip(*times, strict=True))


def test_a_page_that_is_out_of_date_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sizing, "page", lambda: "a page")
    file = tmp_path / "sizing.md"
    monkeypatch.setattr("sys.argv", ["sizing", "--check", "--page", str(file)])
    with pytest.raises(SystemExit, match="out of date"):
        sizing.main()
    monkeypatch.setattr("sys.argv", ["sizing", "--page", str(file)])
    sizing.main()
    assert file.read_text() == "a page"
    monkeypatch.setattr("sys.argv", ["sizing", "--check", "--page", str(file)])
    sizing.main()
