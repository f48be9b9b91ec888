"""Weights encoded per second beside the memory's read bandwidth: ``python -m bench.encodings``.

bfloat16, float16 and float32 weights, in chunks of 2 MiB of bfloat16 that are read from an array
far larger than the caches, so that an encoder can at best be as fast as reading.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.weights import FloatType, Rows
from passes.encodings import ENCODINGS, encoding
from passes.encodings.base import Encoding
from passes.encodings.fp8 import Fp8Tensor
from passes.encodings.weighting import WeightableEncoding

ROWS, COLUMNS = 32768, 2048
CHUNK_ROWS = 512
SECONDS = 0.5
THREADS = (1, 2)


def weights(dtype: FloatType) -> Rows:
    """Gaussian rows ``[ROWS, COLUMNS]``, the same every time; 8192 rows over and over."""
    values: NDArray[np.float32] = np.random.default_rng(0).standard_normal(
        (8192, COLUMNS), np.float32
    )
    rows = (values * np.float32(0.02)).astype(dtype.numpy)
    return np.tile(rows, (ROWS // len(rows), 1))


def passes_a_second(work: Callable[[Rows], object], rows: Rows, threads: int) -> float:
    """How often ``work`` gets through all chunks of ``rows`` in a second, at best.

    Every thread has its own share of the rows.
    """

    def through(share: Rows) -> None:
        for start in range(0, len(share), CHUNK_ROWS):
            work(share[start : start + CHUNK_ROWS])

    shares, best = np.array_split(rows, threads), 0.0
    with ThreadPoolExecutor(threads) as pool:
        stop = time.perf_counter() + SECONDS
        while time.perf_counter() < stop:
            start = time.perf_counter()
            list(pool.map(through, shares))
            best = max(best, 1 / (time.perf_counter() - start))
    return best


def read_bandwidth(threads: int) -> float:
    """Bytes a second that a numba kernel reads from memory and adds up."""
    from numba import njit

    def total(words: NDArray[np.uint64]) -> Any:
        result = np.uint64(0)
        for index in range(words.size):
            result += words[index]
        return result

    add_up = njit(nogil=True)(total)
    # A row is as long as one of bfloat16 weights, the whole as large as all of them.
    words = np.ones((ROWS, COLUMNS * 2 // 8), np.uint64)
    add_up(words[:1].reshape(-1))
    rate = passes_a_second(lambda chunk: add_up(chunk.reshape(-1)), words, threads)
    return rate * words.nbytes


def encoder(chosen: Encoding) -> Callable[[Rows], object]:
    """Encode chunks into planes that a thread uses again and again."""
    own = threading.local()

    def encode(chunk: Rows) -> None:
        planes = getattr(own, "planes", None)
        if planes is None or own.rows != len(chunk):
            own.rows, own.planes = len(chunk), chosen.empty_planes(*chunk.shape)
        chosen.encode_into(chunk, own.planes)

    return encode


def line(
    chosen: Encoding,
    label: str,
    rows: Mapping[FloatType, Rows],
    bandwidths: Mapping[int, float],
) -> str:
    """The row of the table for an encoding."""
    start = time.perf_counter()
    chosen.encode(rows[FloatType.BF16][:8])
    cells = [label, f"{time.perf_counter() - start:.2f}"]
    for threads in THREADS:
        source = rows[FloatType.BF16]
        rate = passes_a_second(encoder(chosen), source, threads)
        cells.append(f"{rate * source.size / 1e9:.2f}")
        cells.append(f"{rate * source.nbytes / bandwidths[threads]:.0%}")
    for dtype in (FloatType.F16, FloatType.F32):
        rate = passes_a_second(encoder(chosen), rows[dtype], THREADS[-1])
        cells.append(f"{rate * rows[dtype].size / 1e9:.2f}")
    return f"| {' | '.join(cells)} |"


def kinds(name: str) -> Iterator[tuple[Encoding, str]]:
    """The encoding called ``name``, ready for use, and weighted where that differs."""
    chosen = encoding(name)
    yield (chosen.bound(0.1) if isinstance(chosen, Fp8Tensor) else chosen), name
    if isinstance(chosen, WeightableEncoding) and chosen.is_weightable:
        moments = np.exp(np.random.default_rng(1).standard_normal(COLUMNS))
        yield chosen.weighted(moments), f"{name}, weighted"


def main() -> None:
    """Print the table; the first column is the time of the first call, compilation included."""
    bandwidths = {threads: read_bandwidth(threads) for threads in THREADS}
    read = ", ".join(f"{rate / 1e9:.1f} GB/s with {n}" for n, rate in bandwidths.items())
    print(f"{os.cpu_count()} cores; memory is read at {read} threads; 10^9 weights a second:\n")
    columns = "first call, s | bf16 x1 | of reading | bf16 x2 | of reading | f16 x2 | f32 x2"
    print(f"| encoding | {columns} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    rows = {dtype: weights(dtype) for dtype in FloatType}
    for name in sys.argv[1:] or ENCODINGS:
        for chosen, label in kinds(name):
            print(line(chosen, label, rows, bandwidths), flush=True)


if __name__ == "__main__":
    main()
