"""What llama-perplexity prints becomes a table."""

from __future__ import annotations

import pytest

from bench.gguf_quality import Judged, parse, table

PRINTED = """\
====== KL divergence statistics ======
Mean    KLD:   0.322921 ±   0.008906
Maximum KLD:   8.214000
Median  KLD:   0.200000
====== Token probability statistics ======
Same top p: 71.716 ± 0.997 %
"""


def test_figures_are_read():
    assert parse("a", 7, PRINTED) == Judged("a", 7, 0.322921, 0.008906, 71.716 / 100)


def test_what_has_no_figures_is_refused():
    with pytest.raises(ValueError, match="nothing of a"):
        parse("a", 7, "Median  KLD:   0.2\n")


def test_ratios_are_to_the_first():
    lines = table([Judged("a", 1000, 0.2, 0.01, 0.5), Judged("b", 900, 0.1, 0.01, 0.75)])
    assert lines.splitlines()[2:] == [
        "| a | 1,000 | 0.2000 ± 0.0100 | 50.0% | 1.00 |",
        "| b | 900 | 0.1000 ± 0.0100 | 75.0% | 0.50 |",
    ]
