"""The encodings by name. A new one is a file in this folder and a line in `_NAMED`; if it is a type
of ggml, the GGUF target stores it, too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

import numpy as np

from convert.errors import UnsupportedEncodingError
from convert.extensions import Extensions
from convert.weights import FloatType
from passes.encodings.base import Encoding
from passes.encodings.floats import FloatEncoding
from passes.encodings.fp8 import Fp8Rows, Fp8Tensor
from passes.encodings.ggml import BlockEncoding
from passes.encodings.int4 import int4, int4_sym
from passes.encodings.int8 import INT8, INT8_ASYM
from passes.encodings.integers import SMALLEST_GROUP
from passes.encodings.iq4_nl import IQ4_NL
from passes.encodings.iq4_xs import IQ4_XS
from passes.encodings.mxfp4 import MXFP4
from passes.encodings.nf4 import Nf4, Nf4DoubleQuantized
from passes.encodings.q2_k import Q2_K
from passes.encodings.q3_k import Q3_K
from passes.encodings.q4_0 import Q4_0
from passes.encodings.q4_1 import Q4_1
from passes.encodings.q4_k import Q4_K
from passes.encodings.q5_0 import Q5_0
from passes.encodings.q5_1 import Q5_1
from passes.encodings.q5_k import Q5_K
from passes.encodings.q6_k import Q6_K
from passes.encodings.q8_0 import Q8_0
from passes.encodings.w8a8 import W8A8
from passes.encodings.weighting import WeightableEncoding

_NAMED: dict[str, Encoding] = {
    known.name: known
    for known in (
        *(FloatEncoding(dtype) for dtype in FloatType),
        *(Q8_0(), Q4_0(), Q4_1(), Q5_0(), Q5_1(), IQ4_NL(), MXFP4()),
        *(Q6_K(), Q3_K(), IQ4_XS()),
        *(Q2_K(), Q4_K(), Q5_K()),
        *(INT8, INT8_ASYM, W8A8()),
        *(int4(), int4(64), int4(32)),
        *(int4_sym(), int4_sym(64), int4_sym(32)),
        *(Fp8Rows(), Fp8Rows(240), Fp8Tensor(), Fp8Tensor(240)),
        *(Nf4(), Nf4(32), Nf4DoubleQuantized(), Nf4DoubleQuantized(32)),
    )
}
_WARM_COLUMNS = 256
_GROUPED: dict[str, Callable[[int], Encoding]] = {"int4": int4, "int4_sym": int4_sym}
_GROUPED_BY_POWERS_OF_TWO: dict[str, Callable[[int], Encoding]] = {
    known.family: known for known in (Nf4, Nf4DoubleQuantized)
}

ENCODINGS: tuple[str, ...] = tuple(_NAMED)
"""Names that are built in. Besides, ``int4_g<N>`` and ``int4_sym_g<N>`` exist for every group
N >= 16, ``nf4_g<N>`` and ``nf4_dq_g<N>`` for every power of two N >= 16."""

_ADDED: Extensions[Encoding] = Extensions("encodings", lambda: Encoding, lambda one: (one.name,))

GGML_TYPES: tuple[str, ...] = tuple(
    name for name, known in _NAMED.items() if isinstance(known, BlockEncoding)
)
"""Names of those that are ggml's block types; in upper case they are ggml's names."""


def encoding_names() -> tuple[str, ...]:
    """Names to choose from, those of other packages included."""
    return tuple(dict.fromkeys((*ENCODINGS, *_ADDED.names())))


def encoding(name: str) -> Encoding:
    """The encoding of that name.

    Raises:
        UnsupportedEncodingError: There is none.
        ExtensionError: It is one of another package, and broken.
    """
    whole = _ADDED.find(name, _NAMED)
    if whole is not None:
        return whole
    if name in _NAMED:
        return _NAMED[name]
    grouped = re.fullmatch(r"(\w+)_g([1-9][0-9]{0,6})", name)
    if grouped and int(grouped[2]) >= SMALLEST_GROUP:
        family, group = grouped[1], int(grouped[2])
        if family in _GROUPED:
            return _GROUPED[family](group)
        if family in _GROUPED_BY_POWERS_OF_TWO and group & (group - 1) == 0:
            return _GROUPED_BY_POWERS_OF_TWO[family](group)
        added = _ADDED.find(family, _NAMED)
        kin = added.grouped(group) if added is not None else None
        if kin is not None:
            return kin
    close = difflib.get_close_matches(name, encoding_names())
    raise UnsupportedEncodingError(
        f"there is no encoding {name!r}"
        + (f"; did you mean {' or '.join(close)}?" if close else ""),
        expected=", ".join(encoding_names()),
        remedy="choose one of these; a group of 16 or more may be set as in int4_g48, or, as a "
        "power of two, as in nf4_g128",
    )


def warm_up(names: Iterable[str], *, weighted: bool = False) -> None:
    """Get the kernels of these encodings ready: loaded, or compiled where none is cached yet.

    That takes half a second, or some seconds, which other threads can use.

    Args:
        names: Of the encodings.
        weighted: Those that choose scales by importances, too.
    """
    for name in names:
        fitting = encoding(name).fit(_WARM_COLUMNS)
        if isinstance(fitting, Fp8Tensor):
            fitting = fitting.bound(1.0)
        if fitting is not None:
            rows = np.zeros((1, _WARM_COLUMNS), FloatType.BF16.numpy)
            fitting.encode(rows)
            if weighted and isinstance(fitting, WeightableEncoding):
                fitting.weighted(np.ones(_WARM_COLUMNS)).encode(rows)
