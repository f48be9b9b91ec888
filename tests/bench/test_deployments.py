"""The page of published deployments is what the planner says today, and every prediction holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.deployments import PAGE, outcome, page
from bench.published_deployments import DEPLOYMENTS, Case, Published
from convert.recipe import shipped_recipes

CASES = [case for deployment in DEPLOYMENTS for case in deployment.cases]


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m bench.deployments"


def test_every_row_is_there():
    numbers = [deployment.title.split(".")[0] for deployment in DEPLOYMENTS]
    assert numbers == ["1", "2", "3", "4", "4b", "5", "6"]
    assert {case.recipe for case in CASES} <= set(shipped_recipes())


PUBLISHED = {
    f"{case.recipe} {case.hardware} {dict(case.settings)} {case.measure}": case
    for case in CASES
    if case.published
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_prediction_lies_between_the_bound_and_twice_what_was_published(name):
    planned = outcome(PUBLISHED[name])
    assert planned.holds
    assert planned.machine.memory.fits


def test_a_prediction_that_does_not_hold_is_marked():
    slow = Case("Llama 2 7B", "llama2-7b-gaudi2-bf16", "gaudi2", (128, 2048), 256)
    measured = [Published(1e-3, 2e-3), Published(9e-3, 12e-3), Published(4.8e-3, 20e-3)]
    held = [outcome(replace(slow, published=published)).holds for published in measured]
    assert held == [False, True, False]
    assert outcome(slow).holds is None
