"""What no test may take from another, or from whoever runs them."""

from __future__ import annotations

import os

import pytest

_OFFLINE = "HF_HUB_OFFLINE"
_GIVEN = os.environ.get(_OFFLINE)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Tests keep nothing in the cache folder of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def hub_as_given():
    """The programs that load an original take themselves off the hub, for good; a test that runs
    what they run must not do so for those after it.
    """
    if _GIVEN is None:
        os.environ.pop(_OFFLINE, None)
    else:
        os.environ[_OFFLINE] = _GIVEN
