"""`convert sign` and `convert diff` hand their options on unchanged, and end as they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert import trusting
from convert.__main__ import main


@pytest.fixture
def called(monkeypatch):
    calls = []
    for name in ("sign_command", "diff_command"):

        def record(*given, **options):
            calls.append((given, options))
            return True

        monkeypatch.setattr(trusting, name, record)
    return calls


def test_sign_takes_keys_and_certificates(called):
    arguments = ["sign", "a", "--key", "k", "--certificate", "c", "--chain", "d", "--chain", "e"]
    assert main(arguments) == 0
    chain = [Path("d"), Path("e")]
    options = {"key": Path("k"), "certificate": Path("c"), "chain": chain}
    assert called == [((Path("a"),), options)]
    assert main(["sign", "a", "--keyless"]) == 0
    assert called[1] == ((Path("a"),), {"key": None, "certificate": None, "chain": []})


def test_diff_ends_with_one_only_where_that_is_asked_for(called):
    assert main(["diff", "a", "b"]) == 0
    assert called == [((Path("a"), Path("b")), {"as_json": False, "show_all": False})]
    assert main(["diff", "a", "b", "--json", "--all", "--exit-code"]) == 1
    assert called[1][1] == {"as_json": True, "show_all": True}
