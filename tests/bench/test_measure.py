from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure import CommandFailedError, Usage, in_a_row, measure, median

MEGABYTE = 1_000_000
ROOT = Path(__file__).resolve().parents[2]


def python(program):
    return [sys.executable, "-c", program]


def test_wall_and_processor_time_are_told_apart():
    asleep = measure(python("import time; time.sleep(0.3)"))
    busy = measure(python("import time\nwhile time.process_time() < 0.3: pass"))
    assert asleep.wall > 0.3
    assert asleep.cpu < 0.25
    assert busy.cpu > 0.3


def test_memory_that_is_soon_freed_counts():
    """Measured by a process of its own, since the measuring one's size is the least figure."""
    program = (
        "import sys; from bench.measure import measure;"
        "print(measure([sys.executable, '-c', \"bytearray(b'x') * 200_000_000\"]).peak)"
    )
    measured = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 200 * MEGABYTE < int(measured.stdout) < 260 * MEGABYTE


def test_mapped_files_count(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100 * MEGABYTE)
    program = (
        "import mmap, sys; f = open(sys.argv[1], 'rb');"
        "m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); sum(m[::4096])"
    )
    assert measure([*python(program), path]).peak > 100 * MEGABYTE


def test_children_count_at_the_same_time():
    child = "import time; b = bytearray(b'x') * 100_000_000; time.sleep(0.8)"
    program = (
        "import subprocess, sys\n"
        f"both = [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in range(2)]\n"
        "[one.wait() for one in both]"
    )
    assert measure(python(program)).peak > 200 * MEGABYTE


def test_a_command_that_fails_shows_what_it_printed():
    with pytest.raises(CommandFailedError, match="ended with 3") as error:
        measure(python("print('the reason'); raise SystemExit(3)"))
    assert "the reason" in str(error.value)


def test_sums_and_medians():
    usages = [Usage(1.0, 5.0, 1.0, 30), Usage(2.0, 3.0, 0.0, 10), Usage(9.0, 4.0, 2.0, 20)]
    assert median(usages) == Usage(2.0, 4.0, 1.0, 20)
    assert in_a_row(usages) == Usage(12.0, 12.0, 3.0, 30)
