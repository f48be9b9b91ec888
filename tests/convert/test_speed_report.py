"""What `convert bench` shows."""

from __future__ import annotations

import json

import pytest

from convert.benching import Speed
from convert.errors import UsageError
from convert.speed_report import as_json, as_text, parse_counts

ONE = Speed(8, 2, 12.34, 1.5, 1, 13.0, 1.75, {"linear": 3000.0, "rest": 1000.0}, {"linear": 500.0})
MANY = [Speed(128, 32, 1234.5, 20.0, 1, 1300.0, 25.0), Speed(8, 32, 10.0, 40.0, 16, 11.0, 41.0)]


def test_one_speed_is_two_lines_and_its_kinds():
    text = as_text([ONE])
    assert "first token: 12.3 ms for a prompt of 8 tokens (p90 13.0)" in text
    assert "next token:  1.50 ms, median of 2 (p90 1.75), 666.7 tokens/s" in text
    assert "3.000 ms  75.0%" in text
    assert "0.500 ms 100.0%" in text
    assert text.index("linear") < text.index("rest")


def test_a_batch_says_so():
    assert "10.0 ms for 16 prompts of 8 tokens" in as_text(MANY[1:])
    assert "400.0 tokens/s" in as_text(MANY[1:])


def test_more_speeds_are_a_table():
    header, *rows = as_text(MANY).splitlines()
    assert header.split("  ")[0] == "batch"
    assert [row.split() for row in rows] == [
        ["1", "128", "1234.5", "1300.0", "20.00", "25.00", "50.0"],
        ["16", "8", "10.0", "11.0", "40.00", "41.00", "400.0"],
    ]
    assert len({len(line) for line in (header, *rows)}) == 1


def test_json_is_an_object_of_one_and_a_list_of_more():
    found = json.loads(as_json([ONE]))
    assert (found["next_ms"], found["prompt_by_kind"]["rest"]) == (1.5, 1000.0)
    assert [one["tokens_per_second"] for one in json.loads(as_json(MANY))] == [50.0, 400.0]


def test_counts_are_one_number_or_a_list():
    assert parse_counts("128", "--batch") == [128]
    assert parse_counts("1024, 128,512,128", "--batch") == [128, 512, 1024]


@pytest.mark.parametrize("text", ["", "0", "1,", "1,0", "-3", "1.5", "many", "²", "9" * 12])
def test_what_is_no_list_of_counts_is_refused(text):
    with pytest.raises(UsageError, match="--batch takes whole numbers"):
        parse_counts(text, "--batch")
