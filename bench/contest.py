"""Measures contestants in turn, round after round, and writes their medians as a Markdown table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import CommandFailedError, Usage, in_a_row, measure, median

ROOT = Path(__file__).resolve().parent.parent

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Contestant:
    """A piece of work and the tool that does it.

    Args:
        work: What is made; contestants with the same work are compared.
        tool: Who makes it.
        commands: Run one after the other.
        makes: Files and folders that are removed before and after.
        environment: Set for the commands.
        cold: Files and folders that the page cache is to forget before.
    """

    work: str
    tool: str
    commands: tuple[Command, ...]
    makes: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cold: tuple[Path, ...] = ()

    def run(self) -> Usage:
        """Measure it once, leaving nothing behind."""
        with self.done() as usage:
            return usage

    @contextmanager
    def done(self) -> Iterator[Usage]:
        """Measure it once; what it made is there within the block."""
        _remove(self.makes)
        for path in self.cold:
            forget_pages(path)
        try:
            yield in_a_row(
                [
                    measure(command, cwd=ROOT, environment=self.environment)
                    for command in self.commands
                ]
            )
        finally:
            _remove(self.makes)


@dataclass(frozen=True)
class Result:
    """The medians of one contestant."""

    work: str
    tool: str
    usage: Usage


def hold(contestants: Sequence[Contestant], rounds: int) -> list[Result]:
    """Measure every contestant once a round, so that a busy spell of the machine hits them all.

    A contestant that fails is told of on standard error and is not in the results.
    """
    usages: dict[int, list[Usage]] = {number: [] for number in range(len(contestants))}
    for turn in range(rounds):
        for number in list(usages):
            title = f"round {turn + 1}: {contestants[number].work}, {contestants[number].tool}"
            try:
                usage = contestants[number].run()
            except CommandFailedError as error:
                print(f"{title}: {error}", file=sys.stderr, flush=True)
                del usages[number]
                continue
            usages[number].append(usage)
            print(f"{title}: {usage.wall:.1f} s, cpu {usage.cpu:.1f} s", flush=True)
    return [
        Result(contestants[number].work, contestants[number].tool, median(measured))
        for number, measured in usages.items()
    ]


def table(results: Sequence[Result], yardstick: str, ours: str = "Tricast") -> str:
    """The results in Markdown, with ratios to the work called ``yardstick`` and to ``ours``.

    Args:
        yardstick: Work whose wall time is the unit of the column that names it; it must be there.
        ours: The tool that the others are compared with where both do the same work.
    """
    unit = next(result.usage.wall for result in results if result.work == yardstick)
    own = {result.work: result.usage.wall for result in results if result.tool == ours}
    lines = [
        f"| work | tool | wall, s | user, s | system, s | peak, MB | wall / {yardstick} "
        f"| wall / {ours} |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        usage = result.usage
        rival = result.tool != ours and result.work in own
        times = f"{usage.wall / own[result.work]:.1f}" if rival else ""
        lines.append(
            f"| {result.work} | {result.tool} | {usage.wall:.2f} | {usage.user:.2f} "
            f"| {usage.system:.2f} | {usage.peak / 1e6:.0f} | {usage.wall / unit:.2f} | {times} |"
        )
    return "\n".join(lines) + "\n"


def forget_pages(path: Path) -> int:
    """Drop a file, or all files below a folder, from the page cache, as far as they are stored.

    Returns:
        How many files.
    """
    files = [each for each in (path, *path.rglob("*")) if each.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return len(files)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
