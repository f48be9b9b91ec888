"""JUnit's XML: an artifact is a test suite, each of its checks a test case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from convert.outcomes import Outcome
    from golden.result import Check

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no form for, not even escaped (section 2.2)."""


def as_xml(command: str, outcomes: Sequence[Outcome], error: str | None) -> bytes:
    """The report of one command.

    Args:
        command: Its name.
        outcomes: Of its artifacts.
        error: What ended it, besides artifacts that failed.
    """
    root = ET.Element("testsuites", name="tricast")
    for outcome in outcomes:
        _suite(root, outcome)
    if error is not None:
        suite = ET.SubElement(root, "testsuite", _counts(1, errors=1), name=_text(command))
        case = ET.SubElement(suite, "testcase", classname=_text(command), name="the command ends")
        _say(case, "error", error)
    _sum_up(root)
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _suite(root: ET.Element, outcome: Outcome) -> None:
    name = _text(outcome.artifact)
    suite = ET.SubElement(root, "testsuite", name=name)
    if outcome.nbytes is not None:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="bytes", value=str(outcome.nbytes))
    for check in outcome.checks:
        case = ET.SubElement(suite, "testcase", classname=name, name=_text(check.name))
        _figures(case, check)
        if not check.applies:
            ET.SubElement(case, "skipped", message=_text(check.said))
        elif not check.holds:
            _say(case, "failure", check.said)
        else:
            ET.SubElement(case, "system-out").text = _text(check.said)
    for kind, said in (("error", outcome.error), ("skipped", outcome.skipped)):
        if said:
            case = ET.SubElement(suite, "testcase", classname=name, name="gate")
            _say(case, kind, said)
    cases = suite.findall("testcase")
    numbers = [
        sum(case.find(kind) is not None for case in cases)
        for kind in ("failure", "error", "skipped")
    ]
    suite.attrib.update(_counts(len(cases), *numbers), time=f"{outcome.seconds:.3f}")


def _figures(case: ET.Element, check: Check) -> None:
    known = {"value": check.value, "limit": check.limit}
    given = {name: figure for name, figure in known.items() if figure is not None}
    if given:
        properties = ET.SubElement(case, "properties")
    for name, figure in given.items():
        ET.SubElement(properties, "property", name=name, value=f"{figure:.6g}")


def _say(case: ET.Element, kind: str, said: str) -> None:
    first = _text(said).split("\n", 1)[0]
    ET.SubElement(case, kind, message=first).text = _text(said)


def _counts(tests: int, failures: int = 0, errors: int = 0, skipped: int = 0) -> dict[str, str]:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": skipped}
    return {name: str(count) for name, count in counts.items()}


def _sum_up(root: ET.Element) -> None:
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")


def _text(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
