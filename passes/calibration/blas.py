"""On how many threads numpy multiplies matrices, and with what."""

from __future__ import annotations

import ctypes
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np

_FORMS = ("scipy_openblas_{}64_", "openblas_{}64_", "openblas_{}", "scipy_openblas_{}")
"""Names that builds of OpenBLAS have for the same function."""


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let numpy multiply matrices on the thread that asks for it.

    Otherwise OpenBLAS shares each product among as many threads as there are cores, one product
    after another; and how a product is shared decides its last bits. Other libraries are left as
    they are.
    """
    with threads_each(1):
        yield


@contextmanager
def threads_each(count: int | None) -> Iterator[None]:
    """Let numpy share each product of matrices among so many threads; None leaves that as it is."""
    get, set_ = _function("get_num_threads"), _function("set_num_threads")
    if get is None or set_ is None or count is None:
        yield
        return
    before = get()
    set_(count)
    try:
        yield
    finally:
        set_(before)


def threads() -> int | None:
    """Among how many threads numpy shares a product; None where that cannot be told."""
    get = _function("get_num_threads")
    return None if get is None else get()


def arithmetic() -> str:
    """Equal on two machines where numpy computes the same bits on as many threads: it has the same
    version, and takes the same instructions of the processor.
    """
    core = getattr(np, "_core", np)._multiarray_umath
    kernels = _function("get_corename")
    if kernels is not None:
        kernels.restype = ctypes.c_char_p  # type: ignore[attr-defined]
    described = [
        np.__version__,
        platform.machine(),
        sorted(name for name, has in core.__cpu_features__.items() if has),
        None if kernels is None else str(kernels()),
    ]
    return sha256(json.dumps(described).encode()).hexdigest()[:16]


def _function(name: str) -> Callable[..., int] | None:
    """A function of the library that numpy multiplies with, if that is OpenBLAS."""
    extension = getattr(np, "_core", np)._multiarray_umath.__file__
    # Finds what the extension is linked with, too.
    library = ctypes.CDLL(extension)
    for form in _FORMS:
        if hasattr(library, form.format(name)):
            found: Callable[..., int] = getattr(library, form.format(name))
            return found
    return None
