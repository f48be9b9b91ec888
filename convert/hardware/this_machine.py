"""What this machine does in a second, measured once in a moment and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from convert.cache_folder import cache_folder
from convert.hardware.profile import Efficiency, Figure, Hardware, Share
from convert.weights import FloatType
from passes.calibration.reading import as_float32

_FORM = 4
"""Raised when the same machine would be measured otherwise."""

_READ_BYTES = 192 << 20
"""Several times what caches hold, shared by all threads."""

_DECODED = (
    "llama.cpp on two cores: 36 tokens/s of a Q4_0 of 1.17 billion weights, where memory was read "
    "at 45 GB/s"
)
_SQUARE = 1024
_HASHED, _WRITTEN = 8 << 20, 32 << 20
_ROUNDS, _LEAST_SECONDS = 4, 0.06


@dataclass(frozen=True)
class Speeds:
    """What this machine does.

    Args:
        cores: That this process may run on.
        memory: Bytes, the machine's or those that its control group may have.
        bandwidth: Bytes a second read from memory, all cores together.
        operations: A second in a float32 matrix product, all cores together.
        hashing: Bytes a second of SHA-256, one core.
        writing: Bytes a second onto the disk of the cache folder, until they are there.
        conversions: Numbers a second from bfloat16 to float32, one core.
    """

    cores: int
    memory: int
    bandwidth: float
    operations: float
    hashing: float
    writing: float
    conversions: float

    def hardware(self) -> Hardware:
        """The same as a profile. What is measured is no peak, and little is taken off it."""

        def measured(value: float, how: str) -> Figure:
            return Figure(value=value, source=f"measured here: {how}")

        return Hardware(
            title=f"this machine, {self.cores} cores",
            device="machine",
            memory=measured(self.memory, "what the kernel says"),
            bandwidth=measured(self.bandwidth, "reads of a large array by all cores"),
            compute={"f32": measured(self.operations, "a matrix product")},
            efficiency=Efficiency(
                bandwidth=Share(value=0.55, source=_DECODED),
                compute=Share(value=0.7, source="assumed: products of a prompt are less square"),
            ),
            operator=Figure(value=5e-6, source="assumed: threads meet after each operator"),
            runtime=Figure(value=500e6, source="assumed: libraries and activations"),
        )


@cache
def this_machine() -> Speeds:
    """The speeds of this machine, from the cache if they were measured on the same processor."""
    path = cache_folder() / "machine.json"
    return _kept(path) or _keep(path, _measure())


def _kept(path: Path) -> Speeds | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["machine"] != _identity():
            return None
        values = {field.name: document["speeds"][field.name] for field in fields(Speeds)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(type(value) in (int, float) and 0 < value < 1e18 for value in values.values()):
        return None
    return Speeds(**{**values, "memory": _memory()})


def _keep(path: Path, speeds: Speeds) -> Speeds:
    text = json.dumps({"machine": _identity(), "speeds": asdict(speeds)})
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".machine-", delete=False
        ) as file:
            file.write(text)
        Path(file.name).replace(path)
    return speeds


def _identity() -> list[object]:
    """What the speeds depend on: another processor, or another share of it, is measured anew."""
    threads = os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENBLAS_NUM_THREADS")
    return [_FORM, platform.machine(), _processor(), _cores(), np.__version__, *threads]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "CPU part")):
                return line.partition(":")[2].strip()
    return platform.processor()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    """Bytes of the machine, or those that its control group may have (v2, v1)."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # no such file, or a limit of "max"
            found.append(int((Path("/sys/fs/cgroup") / name).read_text()))
    return min(found)


def _measure() -> Speeds:
    cores = _cores()
    return Speeds(
        cores=cores,
        memory=_memory(),
        bandwidth=_bandwidth(cores),
        operations=_operations(cores),
        hashing=_hashing(),
        writing=writing_speed(_nearest(cache_folder())),
        conversions=_conversions(),
    )


def _bandwidth(cores: int) -> float:
    words = _READ_BYTES // 8 // cores
    arrays = [np.ones(words, np.uint64) for _ in range(cores)]
    with ThreadPoolExecutor(cores) as threads:
        seconds = _least(lambda: list(threads.map(np.max, arrays)))
    return cores * words * 8 * cores / seconds


def _operations(cores: int) -> float:
    square = np.ones((_SQUARE, _SQUARE), np.float32)
    return 2 * _SQUARE**3 * cores / _least(lambda: square @ square)


def _conversions() -> float:
    stored = np.ones((_SQUARE, _SQUARE), FloatType.BF16.numpy)
    return _SQUARE**2 / _least(lambda: as_float32(stored).max())


def _hashing() -> float:
    data = bytes(_HASHED)
    return _HASHED / _least(lambda: hashlib.sha256(data).digest())


def is_beside_the_cache(folder: Path) -> bool:
    """Whether a folder is on the disk that `Speeds.writing` is of."""
    try:
        return folder.stat().st_dev == _nearest(cache_folder()).stat().st_dev
    except OSError:
        return True


def writing_speed(folder: Path) -> float:
    """Bytes a second onto the disk of a folder, or of the system if it cannot be written."""
    data = os.urandom(_WRITTEN >> 3) * 8  # some disks store zeros in no time
    with tempfile.TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        started = time.perf_counter()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return _WRITTEN / max(time.perf_counter() - started, 1e-6)


def _nearest(folder: Path) -> Path:
    """A folder, or the nearest above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _least(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest of some rounds, of all threads together.

    They say what the machine does when nobody else wants it, and change little when others do.
    """
    best, spent, rounds = float("inf"), 0.0, 0
    while rounds < _ROUNDS or spent < _LEAST_SECONDS:
        started = time.process_time()
        work()
        passed = time.process_time() - started
        best, spent, rounds = min(best, passed), spent + max(passed, 1e-6), rounds + 1
    return max(best, 1e-9)
