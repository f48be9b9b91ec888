"""Processes answer together; what one of them says in failing comes back as what it was."""

from __future__ import annotations

import pytest

from convert.errors import RunnerCrashedError, UnsupportedError
from targets.ranks.description import Description
from targets.ranks.folders import DESCRIPTION
from targets.ranks.runner import RanksRunner
from tests.support.counting_rank import BROKEN, DEADLY, REFUSED

PROGRAM = "tests.support.counting_rank"


@pytest.fixture
def runner(tmp_path):
    (tmp_path / DESCRIPTION).write_bytes(Description(2, (0, 0), 0, {}, 1).to_json())
    with RanksRunner(tmp_path, PROGRAM, threads=2, arguments=["--greeting", "hello"]) as runner:
        yield runner


def test_every_rank_is_fed_the_same(runner):
    assert runner.context == 7
    assert runner.feed([1, 2]).tolist() == [[6], [6]]
    assert runner.advance([3]).tolist() == [[12]]
    assert runner.begin([[4]]).tolist() == [[8]]
    runner.reset()
    assert runner.feed([0]).tolist() == [[0]]
    with pytest.raises(UnsupportedError, match="one sequence at a time") as refused:
        runner.begin([[1], [2]])
    assert refused.value.remedy == "use --batch 1"


@pytest.mark.parametrize(
    ("token", "error", "match"),
    [
        (REFUSED, UnsupportedError, r"^no such token\b"),
        (BROKEN, RunnerCrashedError, "rank 1 of 2: it broke"),
        (DEADLY, RunnerCrashedError, r"rank 1 of 2 died \(exit code 3\)"),
    ],
    ids=["refused by all", "broken", "dead"],
)
def test_the_rank_that_fails_is_heard(runner, token, error, match):
    with pytest.raises(error, match=match):
        runner.feed([token])
    with pytest.raises(RunnerCrashedError, match="have ended"):
        runner.feed([1])
