"""A conversion by a fleet, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from convert.hardware.fleet import Fleet
from convert.prediction.fleet import FleetCost
from convert.prediction.units import readable_bytes, readable_seconds

TAKEN_FOR_GRANTED = (
    "stages overlap, so that a run takes its start and its longest stage",
    "a core encodes as fast as one of the Xeon with AVX-512 that the rates were measured on",
    "the comparison with the original is not counted (--no-gate)",
    "values of a text go from worker to worker; each of them receives all",
    "machines are up already",
)


def fleet_lines(cost: FleetCost) -> list[str]:
    """What it takes, stage by stage, and what to change."""
    return [*_head(cost), *_stages(cost), *_bottleneck(cost), *_assumptions(cost.fleet)]


def _head(cost: FleetCost) -> Iterator[str]:
    fleet, work = cost.fleet, cost.work
    least = "at least " if work.not_estimated else ""
    bill = ""
    if cost.price is not None:
        bill = f", {cost.price:,.2f} at {fleet.price:,.2f} for each machine and hour"
    yield (
        f"{workers(fleet.workers).capitalize()} of {fleet.cores} cores, and a driver: "
        f"{least}{readable_seconds(cost.seconds)}{bill}"
    )
    yield (
        "  workers write into the folder of --out, which all of them have to see"
        if fleet.shared
        else "  the driver writes what workers return, and uploads it"
    )
    for more in work.not_estimated:
        yield f"  not counted: {more}"


def _stages(cost: FleetCost) -> Iterator[str]:
    width = max(len(stage.name) for stage in cost.stages)
    for stage in cost.stages:
        yield f"  {stage.name:<{width}}  {readable_seconds(stage.seconds):>8}  {stage.doing}"


def _bottleneck(cost: FleetCost) -> Iterator[str]:
    best = cost.most_useful
    yield f"  bottleneck: {cost.bottleneck.name}; {cost.remedy}"
    if cost.fleet.workers > best:
        yield f"  {workers(best)} would do: more do not help"
    elif cost.fleet.workers == best:
        yield "  more workers do not help"
    else:
        seconds = readable_seconds(cost.with_workers(best).seconds)
        yield f"  more workers help up to {best:,}, which take {seconds}"


def _assumptions(fleet: Fleet) -> Iterator[str]:
    yield "  taken for granted:"
    for name, figure in fleet.figures().items():
        yield f"    {name}: {readable_figure(name, figure.value)} ({figure.source})"
    for each in TAKEN_FOR_GRANTED:
        yield f"    {each}"


def readable_figure(name: str, value: float) -> str:
    """A figure of a fleet with its unit."""
    return readable_seconds(value) if name in ("a task", "start") else f"{readable_bytes(value)}/s"


def workers(count: int) -> str:
    """A number of them, in words."""
    return "1 worker" if count == 1 else f"{count:,} workers"
