"""What a run remembers of its time."""

from __future__ import annotations

import io
import itertools

from convert.progress import Reporter
from convert.reporting import history
from convert.reporting.history import MOST_POINTS, Transfer


def test_a_reporter_remembers_stages_and_transfers():
    reporter = Reporter(io.StringIO())
    with reporter.stage("first"):
        pass
    with reporter.transfer("second", 10) as advance:
        advance(4)
        advance(6)
    found = reporter.history
    assert [title for title, _ in found.stages] == ["first", "second"]
    assert all(seconds >= 0 for _, seconds in found.stages)
    assert found.seconds >= sum(seconds for _, seconds in found.stages)
    (transfer,) = found.transfers
    assert (transfer.title, transfer.total) == ("second", 10)
    assert [done for _, done in transfer.points] == [4, 10, 10]


def test_what_fails_is_not_remembered_as_done():
    reporter = Reporter(io.StringIO())
    try:
        with reporter.stage("first"):
            raise OSError
    except OSError:
        assert reporter.history.stages == []


def test_points_stay_few_and_rise(monkeypatch):
    now = iter(range(100_000))
    monkeypatch.setattr(history.time, "perf_counter", lambda: next(now) / 8)
    transfer = Transfer("x", 9000)
    for _ in range(9000):
        transfer.advance(1)
    transfer.end()
    assert MOST_POINTS / 4 < len(transfer.points) <= MOST_POINTS + 1
    assert transfer.points == sorted(transfer.points)
    assert transfer.points[-1][1] == 9000
    seconds = [at for at, _ in transfer.points]
    assert max(b - a for a, b in itertools.pairwise(seconds)) < 100
