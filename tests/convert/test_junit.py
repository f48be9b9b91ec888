"""JUnit: counts that add up, figures of what failed, and names that no XML could hold."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from convert.junit import as_xml
from convert.outcomes import Outcome
from golden.result import Check

OUTCOMES = (
    Outcome("good", (Check("mean KL", True, "fine", 0.01, 0.02),), 1.5, 1234),
    Outcome(
        "bad",
        (
            Check("mean KL", False, "mean KL 0.7 is above 0.6", 0.7, 0.6),
            Check("top-1 agreement", False, "top-1 is below", 0.1, 0.6),
            Check("tokenizer", True, "was not compared", applies=False),
        ),
        2.0,
    ),
    Outcome("crashed", error="the runtime died\nlast words"),
    Outcome("unverified", skipped="the gate was not run"),
)


def test_every_check_is_a_test_case_and_counts_add_up():
    root = ET.fromstring(as_xml("convert run", OUTCOMES, None))
    counts = {name: int(root.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 6, "failures": 2, "errors": 1, "skipped": 2}
    assert [suite.get("name") for suite in root] == ["good", "bad", "crashed", "unverified"]
    assert float(root.get("time")) == 3.5
    failure = root.find("./testsuite[@name='bad']/testcase[@name='mean KL']")
    assert failure.find("failure").get("message") == "mean KL 0.7 is above 0.6"
    figures = {item.get("name"): item.get("value") for item in failure.iter("property")}
    assert figures == {"value": "0.7", "limit": "0.6"}
    died = root.find("./testsuite[@name='crashed']/testcase/error")
    assert (died.get("message"), died.text) == ("the runtime died", "the runtime died\nlast words")


def test_what_ended_the_command_is_an_error_of_its_own():
    root = ET.fromstring(as_xml("convert run", (), "no such model\n  to do: look"))
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    assert root.find("./testsuite[@name='convert run']/testcase/error").text.endswith("to do: look")


@given(st.text(), st.text())
def test_any_text_can_be_told(name, said):
    outcome = Outcome(name, (Check(said, False, said),), error=said or "x")
    root = ET.fromstring(as_xml("c", (outcome,), said))
    assert int(root.get("tests")) == 3


def test_markup_stays_text():
    root = ET.fromstring(as_xml("c", (Outcome("<a>&\x00\ud800", error="]]><b/>"),), None))
    assert root[0].get("name") == "<a>&\ufffd\ufffd"
    assert root.find(".//error").text == "]]><b/>"
