"""Pages without charts, which take most of the time."""

from __future__ import annotations

import pytest


@pytest.fixture
def undrawn(monkeypatch):
    """Charts have tests of their own."""
    monkeypatch.setattr("convert.reporting.page._drawings", lambda *_: {})
