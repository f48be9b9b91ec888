"""Tries mutated cases one after the other, and tells of those that a reader did not cope with."""

from __future__ import annotations

import faulthandler
import random
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz.cases import Case, packed, unpacked
from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.trial import Finding, tried

CORPUS = Path(__file__).with_name("corpus")
_LONGEST_SECONDS = 60


def kept_cases(target: str) -> dict[str, Case]:
    """Cases that a reader did not cope with once, by name."""
    return {
        path.name: unpacked(path.read_bytes()) for path in sorted((CORPUS / target).glob("*.zip"))
    }


def mutants(target: str, seed: int) -> Iterator[Case]:
    """Cases without end; equal seeds give equal cases."""
    rng = random.Random(seed)
    pool = [*seeds(target), *kept_cases(target).values()]
    while True:
        case = rng.choice(pool)
        for _ in range(rng.choice((1, 1, 2, 3))):
            case = mutated(rng, case, pool)
        yield case


def searched(
    target: str, seed: int, seconds: float, current: Path, tell: Callable[[Finding, Case], None]
) -> int:
    """Try mutants for some time.

    Args:
        current: File that holds the case on trial, should the process die of it.
        tell: Told of the first case of each cause.

    Returns:
        How many were tried.
    """
    end, known, count = time.monotonic() + seconds, Counter[str](), 0
    for case in mutants(target, seed):
        if time.monotonic() > end:
            break
        current.write_bytes(packed(case, zipfile.ZIP_STORED))
        faulthandler.dump_traceback_later(_LONGEST_SECONDS, exit=True)
        finding = tried(target, case)
        faulthandler.cancel_dump_traceback_later()
        count += 1
        if finding is not None:
            known[finding.place] += 1
            if known[finding.place] == 1:
                tell(finding, case)
    return count
