import json

import pytest

from convert.errors import DoesNotFitError
from targets.deployment import DeploymentPlan, MemoryPart

PARTS = (MemoryPart("weights", 700, "all of them"), MemoryPart("KV cache", 350, "4 slots"))


def plan(capacity: int) -> DeploymentPlan:
    return DeploymentPlan("2 cards", capacity, PARTS, ("fast",), ("a note",), "use 4 cards")


def test_what_fits_to_the_byte_fits():
    fitting = plan(1050)
    assert (fitting.needed, fitting.shortfall, fitting.fits) == (1050, 0, True)
    fitting.require_fit()
    text = "\n".join(fitting.lines())
    assert "1,050" in text and "fits" in text and "note: a note" in text
    assert "use 4 cards" not in text


def test_one_byte_too_many_is_refused_with_the_shortfall_and_the_parts():
    lacking = plan(1049)
    with pytest.raises(DoesNotFitError, match="1 bytes short") as caught:
        lacking.require_fit()
    assert caught.value.exit_code == 5
    assert "weights 700; KV cache 350" in str(caught.value)
    assert "use 4 cards" in str(caught.value)
    assert "DOES NOT FIT: 1 bytes short" in "\n".join(lacking.lines())


def test_it_goes_into_json():
    value = json.loads(json.dumps(plan(1000).to_json()))
    assert value["shortfall"] == 50
    assert value["parts"][1] == {"kind": "KV cache", "bytes": 350, "why": "4 slots"}
    assert value["remedy"] == "use 4 cards"
    assert plan(2000).to_json()["remedy"] is None
