"""The summary of a job: a table with figures, and names that cannot break out of it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from convert.job_summary import summary
from convert.outcomes import Outcome
from golden.result import Check
from tests.convert.test_junit import OUTCOMES


def test_a_row_an_artifact_with_its_figures():
    text = summary("convert run", OUTCOMES, None)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(OUTCOMES)
    assert rows[2] == "| good | passed | 1,234 | 0.01 (0.02) |  |  |  |"
    assert "| bad | **failed** |" in rows[3]
    assert "| unverified | unverified |" in rows[5]
    assert "**bad** does not pass:\n\n- mean KL 0.7 is above 0.6\n- top-1 is below" in text


def test_what_ended_the_command_is_shown_as_it_is():
    assert "<pre>broken &lt;img&gt;<br>  to do</pre>" in summary("c", (), "broken <img>\n  to do")


@given(st.text(st.sampled_from("|<>`*_[]()!#&\\\n\r\t~@:a$"), min_size=1))
def test_no_name_is_markup(name):
    text = summary("c", (Outcome(name, (Check("a", False, name),)),), None)
    shown = re.sub("&#[0-9]+;", "", text)
    own = "### c\n| artifact verdict bytes mean KL top-1 agreement perplexity ratio stored weights"
    assert set(shown) <= set(own + "-:*|. \n does not pass failed" + "a")
    assert shown.count("\n| ") == 3
