"""Fuzzes the readers of files of others.

    python -m tests.fuzz.run TARGET [--minutes 10] [--seed 0] [--guided]

TARGET: checkpoint, pickle, recipe, manifest, gguf. Sound small cases, and those of the corpus, are
mutated as their formats suggest and read. Whatever comes of it but success or a named error with
the exit code of a bad input is a finding, and so is a case that takes more than 5 s of the
processor or 500 MB. The first case of each cause goes to ``tests/fuzz/corpus/TARGET``, where
`test_corpus.py` tries it from then on. ``--guided`` lets atheris choose by coverage what to mutate
further (``pip install atheris``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.cases import Case, packed, unpacked
from tests.fuzz.searching import CORPUS, searched
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Finding, limit_memory, tried

_COUNT = "tried "
_OWN_FAULT = 70


def main() -> int:
    """Run the command line; 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        try:
            return _worker(given.target, given.seed, given.minutes * 60, given.worker, given.guided)
        except Exception:
            traceback.print_exc()
            return _OWN_FAULT
    return _watch(given)


def _watch(given: argparse.Namespace) -> int:
    """Let a process search; one that dies is a finding, and another goes on."""
    end, seed, count, findings = time.monotonic() + given.minutes * 60, given.seed, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "case.zip"
        while (left := end - time.monotonic()) > 1:
            command = [
                sys.executable,
                "-m",
                "tests.fuzz.run",
                given.target,
                "--worker",
                str(current),
            ]
            command += ["--minutes", str(left / 60), "--seed", str(seed)]
            process = subprocess.Popen(
                command + ["--guided"] * given.guided, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            for line in process.stdout:
                count += int(line.removeprefix(_COUNT)) if line.startswith(_COUNT) else 0
                findings += line.startswith("FOUND")
                print(line, end="", flush=True)
            code = process.wait()
            if code == _OWN_FAULT:
                return code
            if code and current.is_file():
                findings += 1
                finding = Finding(f"died with {code}", "")
                _keep(given.target, finding, unpacked(current.read_bytes()))
            seed += 1_000_003
    print(f"{given.target}: {count} cases, {findings} findings")
    return int(findings > 0)


def _worker(target: str, seed: int, seconds: float, current: Path, guided: bool) -> int:
    for case in seeds(target):
        finding = tried(target, case)
        if finding is not None:
            print(f"a sound case fails: {finding.text}")
            return 0
    limit_memory()

    def tell(finding: Finding, case: Case) -> None:
        _keep(target, finding, case)

    if guided:
        from tests.fuzz.guided import searched_by_coverage

        def count(tried: int) -> None:
            print(f"{_COUNT}{tried}", flush=True)

        searched_by_coverage(target, seed, seconds, current, tell, count)
        return 0
    print(f"{_COUNT}{searched(target, seed, seconds, current, tell)}", flush=True)
    return 0


def _keep(target: str, finding: Finding, case: Case) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / finding.file_name).write_bytes(packed(case))
    print(f"FOUND {finding.place}\n{finding.text}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
