from __future__ import annotations

import pytest

from convert.errors import InterruptedRunError
from convert.sources.silent_bar import silent_bar


def test_bytes_are_passed_on_and_nothing_is_shown(capsys):
    counts = []
    with silent_bar(counts.append)(total=10, initial=2, unit="B", desc="x") as bar:
        bar.update(5)
        bar.update(-5)
        bar.update(2.0)
        bar.update_transfer(7)
        bar.set_postfix_str("fast", refresh=True)
        bar.set_transfer_postfix_str("fast", refresh=True)
        bar.set_description("y")
    assert counts == [5, -5, 2]
    assert capsys.readouterr() == ("", "")


def test_what_is_raised_reaches_the_library():
    def stop(count):
        raise InterruptedRunError("enough")

    with pytest.raises(InterruptedRunError), silent_bar(stop)(total=10) as bar:
        bar.update(1)
