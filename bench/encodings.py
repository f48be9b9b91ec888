"""Weights encoded per second, for each encoding and 1 and 2 threads: ``python bench/encodings.py``.

Run from the repository with the package importable. bfloat16 weights, chunks of 32 MiB.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from convert.weights import FloatType, Rows
from passes.encodings import ENCODINGS, encoding
from passes.encodings.base import Encoding

ROWS, COLUMNS = 8192, 2048
SECONDS = 0.5


def weights(dtype: FloatType) -> Rows:
    """Gaussian rows ``[ROWS, COLUMNS]``, the same every time."""
    values: NDArray[np.float32] = np.random.default_rng(0).standard_normal(
        (ROWS, COLUMNS), np.float32
    )
    return (values * np.float32(0.02)).astype(dtype.numpy)


def rate(chosen: Encoding, rows: Rows, threads: int) -> float:
    """Weights per second, each thread encoding its own share of the rows over and over."""
    shares = np.array_split(rows, threads)
    outputs = [chosen.empty_planes(*share.shape) for share in shares]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        stop = time.perf_counter() + SECONDS
        while time.perf_counter() < stop:
            start = time.perf_counter()
            list(pool.map(chosen.encode_into, shares, outputs))
            best = max(best, rows.size / (time.perf_counter() - start))
    return best


def main() -> None:
    """Print the table; the first column is the time of the first call, compilation included."""
    names = sys.argv[1:] or ENCODINGS
    rows = {dtype: weights(dtype) for dtype in FloatType}
    print(f"{os.cpu_count()} cores; billions of weights a second, best of {SECONDS} s")
    print(f"{'encoding':14}{'first, s':>9}{'bf16 x1':>9}{'bf16 x2':>9}{'f16 x2':>9}{'f32 x2':>9}")
    for name in names:
        chosen = encoding(name)
        start = time.perf_counter()
        chosen.encode(rows[FloatType.BF16][:8])
        first = time.perf_counter() - start
        columns = [(FloatType.BF16, 1), (FloatType.BF16, 2), (FloatType.F16, 2), (FloatType.F32, 2)]
        rates = [rate(chosen, rows[dtype], threads) / 1e9 for dtype, threads in columns]
        print(f"{name:14}{first:9.2f}" + "".join(f"{value:9.2f}" for value in rates))


if __name__ == "__main__":
    main()
