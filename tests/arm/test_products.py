"""ggml's kernels for Arm multiply by what we encode as if by what we decode it to."""

from __future__ import annotations

from dataclasses import dataclass

import gguf
import numpy as np
import pytest

from passes.encodings import encoding
from passes.encodings.weighting import WeightableEncoding
from targets.gguf.target import GgufTarget
from tests.arm.build import PROGRAM, missing
from tests.arm.emulator import Case, run
from tests.arm.rounded_inputs import minima_times_sums, rounded_inputs

pytestmark = pytest.mark.slow

COLUMNS = (32, 96, 256, 768)
"""Kernels take blocks one by one, two by two or more; super-blocks need 256."""
ROWS = (16, 7)
"""Sixteen are repacked eight by eight or four by four; seven leave a rest for all kernels."""
TOKENS = (1, 4, 7)
REPACKED = {16: {"q4_0_4x8", "q8_0_4x8"}, 32: {"q4_0_8x8", "q8_0_4x8"}}
"""By bytes of a vector: the layouts that ggml must have come to, for i8mm and for SVE."""


@dataclass(frozen=True)
class Product:
    """A case, and what it must give: so near to ``expected`` as ``bound`` says."""

    label: str
    case: Case
    expected: np.ndarray
    bound: np.ndarray


def products():
    rng = np.random.default_rng(0)
    for name in GgufTarget.encodings:
        for columns in COLUMNS:
            fitting = encoding(name).fit(columns)
            if fitting is None:
                continue
            weighted = isinstance(fitting, WeightableEncoding)
            if weighted and columns != COLUMNS[-1]:
                fitting = fitting.weighted(rng.exponential(size=columns))
            for rows in ROWS:
                weights = rng.standard_normal((rows, columns), np.float32)
                (stored,) = fitting.encode(weights)
                decoded = fitting.decode((stored,), rows, columns)
                for tokens in TOKENS:
                    inputs = rng.standard_normal((tokens, columns), np.float32)
                    for repacked in (False, True):
                        yield product(name, stored.tobytes(), decoded, inputs, repacked)


def product(name, stored, decoded, inputs, repacked):
    rows, columns = decoded.shape
    kind = int(gguf.GGMLQuantizationType[name.upper()])
    seen = rounded_inputs(name, inputs)
    expected = seen @ decoded.T.astype(np.float64)
    expected += minima_times_sums(name, stored, rows, inputs)
    # Integers within a block are exact. What is left is float32: a rounding for each of the factors
    # and sums. Scale times code and minimum are at most twice the largest weight of the row each.
    largest = np.abs(seen).sum(1)[:, None] * 4 * np.abs(decoded).max(1)[None]
    bound = (columns + 16) * 2.0**-24 * largest
    label = f"{name} {rows}x{columns}, {len(inputs)} tokens{', repacked' if repacked else ''}"
    return Product(label, Case(kind, stored, rows, inputs, repacked), expected, bound)


@pytest.fixture(scope="module")
def cases():
    reason = missing()
    if reason is None and not PROGRAM.is_file():
        reason = "ggml is not built for Arm: make test-arm"
    if reason:
        pytest.skip(reason)
    return list(products())


@pytest.mark.parametrize("vector_bytes", [16, 32])
def test_products_are_those_of_the_decoded_weights(cases, vector_bytes):
    """128 bits are a Neoverse V2's (Graviton 4, Grace), 256 a V1's (Graviton 3)."""
    answers = run([each.case for each in cases], vector_bytes)
    assert answers.features == f"dotprod 1 i8mm 1 sve 1 bytes {vector_bytes}"
    assert answers.layouts >= REPACKED[vector_bytes]
    wrong = []
    for each, found in zip(cases, answers.products, strict=True):
        if found is None:
            assert each.case.repacked
            continue
        excess = (np.abs(found - each.expected) / each.bound).max()
        if not excess <= 1:
            wrong.append(f"{each.label}: {excess:.3g} times the bound")
    assert not wrong
