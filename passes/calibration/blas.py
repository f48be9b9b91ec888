"""One thread for each product of matrices, where the products themselves run on several."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    get, set_ = _function("get_num_threads"), _function("set_num_threads")
    if get is None or set_ is None:
        yield
        return
    before = get()
    set_(1)
    try:
        yield
    finally:
        set_(before)


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
