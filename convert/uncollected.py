"""Work that leaves no garbage, without a collector that looks for some."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector from running meanwhile.

    A graph has tens of thousands of objects, and all of them are in use: to go through them again
    and again takes a third of the time that it takes to build one.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
