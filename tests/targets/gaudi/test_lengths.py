"""Distributions of lengths against counting request by request; files that are no lengths."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import BrokenInputError, MissingFileError, UsageError
from targets.gaudi.lengths import count_lengths, even_lengths, lengths_for, read_lengths
from targets.gaudi.options import GaudiOptions
from tests.support.runs import ROOT


def counted(pairs, prompt, new):
    """One request after the other, one step after the other."""
    prompts, steps = np.zeros(prompt + 1, np.int64), np.zeros(prompt + new + 1, np.int64)
    for given_prompt, given_new in pairs:
        tokens, answer = min(given_prompt, prompt), min(given_new, new)
        prompts[tokens] += 1
        for step in range(1, answer):
            steps[tokens + step] += 1
    return prompts, steps


@given(st.integers(1, 12), st.integers(1, 12))
def test_even_lengths_are_every_pair_once(prompt, new):
    every = [(p, n) for p in range(1, prompt + 1) for n in range(1, new + 1)]
    prompts, steps = counted(every, prompt, new)
    even = even_lengths(prompt, new)
    np.testing.assert_array_equal(even.prompts * new, prompts)
    np.testing.assert_array_equal(even.steps, steps)
    assert even.note == ""


PAIRS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1)


@given(PAIRS, st.integers(1, 15), st.integers(1, 15))
def test_requests_are_counted_and_cut(pairs, prompt, new):
    prompts, steps = counted(pairs, prompt, new)
    lengths = count_lengths(pairs, prompt, new)
    np.testing.assert_array_equal(lengths.prompts, prompts)
    np.testing.assert_array_equal(lengths.steps, steps)
    longer = sum(p > prompt or n > new for p, n in pairs)
    assert lengths.note.startswith(f"{longer} of {len(pairs)}" if longer else "")
    assert bool(lengths.note) == bool(longer)


def test_json_lines_and_a_table_are_the_same(tmp_path):
    lines, table = tmp_path / "lengths.jsonl", tmp_path / "lengths.csv"
    lines.write_text('{"prompt": 3, "new": 4, "user": "x"}\n\n{"new": 6, "prompt": 5}\n')
    table.write_text("\ufeffnew, user, prompt\n4, x, 3\n6,, 5\n")
    assert read_lengths(lines) == read_lengths(table) == [(3, 4), (5, 6)]


def test_the_shipped_example_is_read():
    path = ROOT / "golden" / "lengths.jsonl"
    pairs = read_lengths(path)
    first = json.loads(path.read_text().splitlines()[0])
    assert pairs[0] == (first["prompt"], first["new"])
    options = GaudiOptions(lengths=path)
    assert lengths_for(options, 100_000, 100_000).prompts.sum() == len(pairs)
    assert lengths_for(GaudiOptions(), 4, 2).prompts.sum() == 4


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"prompt": 3, "new": 4}\n{"prompt": 3}', "line 2"),
        ('{"prompt": 3, "new": 4}\n[3, 4]', "line 2"),
        ('{"prompt": 3, "new": 4}\nthree', "line 2"),
        ('{"prompt": 0, "new": 4}', "line 1"),
        ('{"prompt": -3, "new": 4}', "line 1"),
        ('{"prompt": true, "new": 4}', "line 1"),
        ('{"prompt": 3.5, "new": 4}', "line 1"),
        ('{"prompt": "3", "new": 4}', "line 1"),
        ('{"prompt": 1e999, "new": 4}', "line 1"),
        ('{"prompt": 99999999999999999999, "new": 4}', "line 1"),
        ('{"prompt": ' + "[" * 100_000, "line 1"),
        ("prompt,new\n3,4\n3,\n", "line 3"),
        ("prompt,new\n3\n", "line 2"),
        ("prompt,new\n3,x\n", "line 2"),
        ("prompt,answer\n3,4\n", "line 1"),
        ("3,4\n", "line 1"),
    ],
)
def test_what_is_no_length_is_refused_by_its_line(tmp_path, text, where):
    path = tmp_path / "lengths"
    path.write_text(text)
    with pytest.raises(BrokenInputError, match=f"{where} of the lengths file"):
        read_lengths(path)


@pytest.mark.parametrize("text", ["", "\n \n", "prompt,new\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    path = tmp_path / "lengths"
    path.write_text(text)
    with pytest.raises(BrokenInputError, match="has no lengths"):
        read_lengths(path)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="cannot be read"):
        read_lengths(tmp_path / "absent")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BrokenInputError, match="line 1"):
        read_lengths(tmp_path / "bytes")


def test_texts_longer_than_any_model_holds_are_refused():
    with pytest.raises(UsageError, match="no buckets for texts of this length"):
        lengths_for(GaudiOptions(), 1 << 23, (1 << 23) + 1)
