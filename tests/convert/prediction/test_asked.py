"""What a user asks for takes the place of what is usual, within what the model can do."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.prediction.asked import Asked
from targets.deployment import Workload
from targets.gaudi.target import GaudiTarget
from targets.gguf.target import GgufTarget
from tests.support.raw_configs import small_config

CONFIG = small_config("llama")
USUAL = Workload(batch=1, prompt=100, context=140)


def test_nothing_asked_changes_nothing():
    assert Asked().applied(USUAL, CONFIG) == USUAL
    assert Asked().options({"a": 1}, GgufTarget(), USUAL) == {"a": 1}


@pytest.mark.parametrize(
    ("asked", "prompt", "context"),
    [
        (Asked(context=200), 160, 200),
        (Asked(context=50), 25, 50),
        (Asked(context=1), 1, 1),
        (Asked(prompt=7), 7, 47),
        (Asked(prompt=250), 250, 256),
        (Asked(prompt=7, context=107), 7, 107),
    ],
)
def test_prompt_and_context_follow_from_each_other(asked, prompt, context):
    asked.require(CONFIG)
    found = asked.applied(USUAL, CONFIG)
    assert (found.prompt, found.context, found.batch) == (prompt, context, 1)


def test_a_target_with_settings_gets_them():
    asked = Asked(batch=4, prompt=7, context=107)
    work = asked.applied(USUAL, CONFIG)
    found = asked.options({"cards": 8}, GaudiTarget(), work)
    assert found == {"cards": 8, "batch": 4, "prompt_tokens": 7, "new_tokens": 100}
    assert asked.options({}, GgufTarget(), work) == {}


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (Asked(batch=0), "--batch"),
        (Asked(batch=-3), "--batch"),
        (Asked(context=0), "--context"),
        (Asked(prompt=-1), "--prompt-tokens"),
        (Asked(context=257), "positions"),
        (Asked(prompt=256), "positions"),
        (Asked(prompt=9, context=9), "at least one token"),
    ],
)
def test_what_cannot_be_is_refused(asked, what):
    with pytest.raises(UsageError, match=what):
        asked.require(CONFIG)
