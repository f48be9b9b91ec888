"""The written file, read by the documented grammar with a parser of our own."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.gaudi.bucket_file import bucket_file
from targets.gaudi.buckets import Buckets, DecodeBuckets

NUMBER = r"\d+"
LIST = rf"\[{NUMBER}(?:, {NUMBER})*\]"
RANGE = rf"range\({NUMBER}, {NUMBER}(?:, {NUMBER})?\)"
VALUE = rf"{NUMBER}|{LIST}|{RANGE}"
LINE = re.compile(rf"\(({VALUE}), ({VALUE}), ({VALUE})\)")


def values(text: str) -> list[int]:
    numbers = [int(number) for number in re.findall(NUMBER, text)]
    return list(range(*numbers)) if text.startswith("range") else numbers


def parsed(text: str) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """Prompt and decode buckets; any line that is not of the grammar fails."""
    buckets: set[tuple[int, ...]] = set()
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = LINE.fullmatch(stripped)
        assert match, f"not of the grammar: {line!r}"
        buckets |= set(itertools.product(*map(values, match.groups())))
    decode = {bucket for bucket in buckets if bucket[1] == 1}
    return buckets - decode, decode


def test_the_parser_reads_the_documented_examples():
    prompts, decode = parsed(
        "# a comment\n(1, 2048, 0)\n(1, [256, 512], [0, 4, 8])\n"
        "(64, 1, 1024)\n(1, 1, range(256, 512, 128))\n"
    )
    assert prompts == {(1, 2048, 0)} | set(itertools.product([1], [256, 512], [0, 4, 8]))
    assert decode == {(64, 1, 1024), (1, 1, 256), (1, 1, 384)}
    with pytest.raises(AssertionError, match="not of the grammar"):
        parsed("1, 2048, 0")


SIZES = st.lists(st.integers(2, 10**6), min_size=1, max_size=8, unique=True).map(sorted)


@given(SIZES, st.dictionaries(st.integers(1, 512), SIZES, min_size=1, max_size=6))
def test_what_is_written_is_read_back(prefill, decode):
    each = tuple(DecodeBuckets(size, tuple(blocks), 0.1) for size, blocks in decode.items())
    buckets = Buckets(tuple(prefill), 0.1, each, longest=10**6)
    prompts, steps = parsed(bucket_file(buckets))
    assert prompts == {(1, tokens, 0) for tokens in prefill}
    assert steps == {(size, 1, count) for size, blocks in decode.items() for count in blocks}


def test_a_single_bucket_is_a_number():
    buckets = Buckets((128,), 0.5, (DecodeBuckets(1, (1,), 0.0),), longest=128)
    assert "(1, 128, 0)\n" in bucket_file(buckets)
    assert bucket_file(buckets).endswith("(1, 1, 1)\n")
