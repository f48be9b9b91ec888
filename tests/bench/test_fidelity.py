from __future__ import annotations

import numpy as np
import pytest

from bench import fidelity
from golden.metrics import Summary


def test_windows_lie_from_the_beginning_to_the_end():
    windows = fidelity.windows_of(range(10), windows=3, tokens=2)
    assert windows.tolist() == [[0, 1], [4, 5], [8, 9]]
    assert windows.dtype == np.int64


def test_windows_never_overlap():
    windows = fidelity.windows_of(range(12), windows=4, tokens=3)
    assert windows.reshape(-1).tolist() == list(range(12))


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="11 tokens"):
        fidelity.windows_of(range(11), windows=4, tokens=3)


def test_ratios_are_to_the_last():
    def summary(kld):
        return Summary(8, 0, kld, 1.0, 0.75, 1.0)

    table = fidelity.table(
        {"ours": summary(0.2), "peer": summary(0.4)}, {"ours": 10**6, "peer": 2 * 10**6}
    )
    assert "| ours | 1.0 | 0.2000 | 75.0% | 0.50 |" in table
    assert "| peer | 2.0 | 0.4000 | 75.0% | 1.00 |" in table
