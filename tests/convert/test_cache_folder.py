"""Where things are kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.cache_folder import cache_folder


def test_it_is_below_what_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tricast"


@pytest.mark.parametrize("given", ["", "relative"])
def test_what_is_not_an_absolute_path_does_not_count(monkeypatch, tmp_path, given):
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tricast"


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(OSError, match="Not a directory"):
        cache_folder().mkdir(parents=True)
