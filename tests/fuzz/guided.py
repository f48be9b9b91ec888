"""Lets atheris (libFuzzer) choose which cases to mutate further: those that reach new code."""

from __future__ import annotations

import inspect
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.cases import Case, packed, unpacked
from tests.fuzz.mutation import mutated
from tests.fuzz.searching import kept_cases
from tests.fuzz.seeds import seeds
from tests.fuzz.trial import Finding, tried

_READERS = ("convert", "targets.gguf")
_TOLD_EVERY = 50


def searched_by_coverage(
    target: str,
    seed: int,
    seconds: float,
    current: Path,
    tell: Callable[[Finding, Case], None],
    count: Callable[[int], None],
) -> None:
    """As `tests.fuzz.searching.searched`, but that it ends the process.

    Args:
        count: Told how many cases were tried since it was last told.
    """
    import atheris

    pool = [*seeds(target), *kept_cases(target).values()]
    folder = Path(tempfile.mkdtemp(prefix="tricast-fuzz-", dir=current.parent))
    for number, case in enumerate(pool):
        (folder / str(number)).write_bytes(packed(case, zipfile.ZIP_STORED))
    known: set[str] = set()
    tries = 0

    def changed(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)
        case = _case(data) or rng.choice(pool)
        return packed(mutated(rng, case, pool), zipfile.ZIP_STORED)[:most]

    def one(data: bytes) -> None:
        nonlocal tries
        case = _case(data)
        if case is None:
            return
        current.write_bytes(data)
        finding = tried(target, case)
        tries += 1
        if tries % _TOLD_EVERY == 0:
            count(_TOLD_EVERY)
        if finding is not None and finding.place not in known:
            known.add(finding.place)
            tell(finding, case)

    _instrument(atheris)
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", "-timeout=60"]
    options += ["-rss_limit_mb=0", "-max_len=1000000", "-verbosity=0", str(folder)]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=changed)
    atheris.Fuzz()


def _case(data: bytes) -> Case | None:
    try:
        return unpacked(data)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        return None


def _instrument(atheris: object) -> None:
    """Have the readers that are loaded tell which of their lines run."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(_READERS):
            continue
        for holder in (module, *(each for _, each in inspect.getmembers(module, inspect.isclass))):
            for key, function in list(vars(holder).items()):
                if inspect.isfunction(function) and function.__module__ == name:
                    setattr(holder, key, atheris.instrument_func(function))  # type: ignore[attr-defined]
