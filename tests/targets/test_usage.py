from targets.base import Target
from targets.usage import UsageStep


def test_a_target_need_not_say():
    assert Target.usage(None, ["a"], "x") == ()
    assert UsageStep("a", "b").language == "sh"
