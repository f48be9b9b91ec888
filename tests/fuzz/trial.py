"""One case on trial: bounded in time and memory, and what came of it."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.cases import Case, written
from tests.fuzz.targets import TARGETS

SECONDS = 5.0
"""Of the processor's time that a case may take."""
MORE_BYTES = 500 << 20
"""Of address space that a case may take."""

_ROOT = Path(__file__).resolve().parents[2]
_MEMORY = Path("/dev/shm")


class TooSlowError(BaseException):
    """A case took longer than it may. Not an `Exception`: readers pass over those."""


@dataclass(frozen=True)
class Finding:
    """A case that a reader did not cope with.

    Args:
        place: Kind of the error, and where it came from; the same for cases of one cause.
        text: The traceback.
    """

    place: str
    text: str

    @property
    def file_name(self) -> str:
        """The place as a name of a file."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.place).strip("-")[:80] + ".zip"


def tried(target: str, case: Case) -> Finding | None:
    """Read a case; None if it was read or refused as it should be."""
    folder = Path(
        tempfile.mkdtemp(prefix="tricast-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
    )
    try:
        try:
            written(case, folder / "case")
        except (OSError, ValueError):
            return None  # no folder can hold it
        with warnings.catch_warnings(), _in_time():
            warnings.simplefilter("ignore")
            TARGETS[target](folder / "case")
    except (Exception, TooSlowError) as error:
        return _finding(error)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of libraries in Rust
            raise
        return _finding(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _finding(error: BaseException) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if frame.filename.startswith(str(_ROOT)) and "tests/fuzz" not in frame.filename
    ] or frames[-1:]
    where = Path(own[-1].filename).stem + "." + own[-1].name
    text = "".join(traceback.format_exception(error))
    return Finding(f"{type(error).__name__} in {where}", text[:2000] + "\n...\n" + text[-3000:])


@contextmanager
def _in_time() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def limit_memory() -> None:
    """From now on this process can have `MORE_BYTES` more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
