"""How kernels are compiled and cached, and what they have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Words = NDArray[np.uint16]
Bits = NDArray[np.uint32]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Halves = NDArray[np.uint16]
"""The bits of float16 numbers."""
Index = np.uint64

FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 2
"""What the 16-bit words of a kernel's input are; a float32 is two words, the low one first."""

FINE, NOT_FINITE, OUT_OF_RANGE = 0, 1, 2
"""What a kernel reports of its rows."""


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


_DIGEST = _digest_of_sources()


def compiled(function: Function) -> Function:
    """Compile at the first call, release the GIL, keep the machine code on disk.

    The code is kept beside the source, or in the user's cache folder where that cannot be
    written (or in NUMBA_CACHE_DIR); where nothing can be written it is compiled in every run.
    numba keeps it under the function's name, and notices a change of the function's file but
    not of the helpers it calls in others; with the digest of all kernels in the name, any
    change of any of them compiles anew.
    """
    function.__qualname__ += f"_{_DIGEST}"
    try:
        return _compile(function, cache=True)
    except RuntimeError:  # numba's "no locator available": no folder can be written
        return _compile(function, cache=False)


def _compile(function: Function, *, cache: bool) -> Function:
    return cast(Function, numba.njit(nogil=True, cache=cache, error_model="numpy")(function))
