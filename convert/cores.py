"""How many threads there are unless somebody says otherwise."""

from __future__ import annotations

import os

ALL_CORES: int = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
