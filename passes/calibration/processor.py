"""What the processor has for products of matrices, beyond what numpy's BLAS library uses."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache
from pathlib import Path

_FEATURES = ("amx-tile", "amx-bf16")
_CPUINFO, _LINUX_NAME = Path("/proc/cpuinfo"), "amx_bf16"
_SYSCALL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
"""Of x86-64: ``arch_prctl``, ``ARCH_REQ_XCOMP_PERM``, and the state component of tiles. See
https://docs.kernel.org/arch/x86/xstate.html.
"""


@cache
def has_matrix_tiles() -> bool:
    """Whether kernels may use tiles of bfloat16. Linux has to be asked before they do."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    return _linux_shows_tiles() and _compiles_for_tiles() and _linux_permits()


def _linux_shows_tiles() -> bool:
    """Whether it is worth asking numba, which takes half a second to import."""
    try:
        return _LINUX_NAME in _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True


def _compiles_for_tiles() -> bool:
    """Whether numba generates code for this processor, and it has tiles."""
    from llvmlite import binding  # type: ignore[import-untyped]
    from numba import config

    if config.CPU_NAME or config.CPU_FEATURES or config.DISABLE_JIT:
        return False
    features = binding.get_host_cpu_features()
    return all(features.get(each, False) for each in _FEATURES)


def _linux_permits() -> bool:
    system = ctypes.CDLL(None, use_errno=True)
    return bool(system.syscall(_SYSCALL, _REQUEST_PERMISSION, _TILE_DATA) == 0)
