"""`import convert` is light, and offers what the command line does."""

from __future__ import annotations

import subprocess
import sys

import pytest

import convert
from golden.gate import ROOT
from tests.test_structure import HEAVY


def test_importing_it_imports_nothing_heavy():
    program = (
        "import sys, convert; dir(convert); convert.run; convert.Reporter; convert.errors;"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not (HEAVY | {"typer", "rich"}) & set(ended.stdout.split())


def test_every_name_leads_somewhere_and_no_other_does():
    assert set(convert.__all__) <= set(dir(convert))
    for name in convert.__all__:
        value = getattr(convert, name)
        assert value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        convert.nonsense  # noqa: B018
