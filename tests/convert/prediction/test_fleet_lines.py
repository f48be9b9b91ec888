"""What people read of a fleet: time and price first, the bottleneck, what to change."""

from __future__ import annotations

from dataclasses import replace

from convert.hardware.fleet import fleet_of
from convert.prediction.fleet import FleetCost
from convert.prediction.fleet_lines import fleet_lines
from tests.convert.prediction.test_fleet import WORK


def text(workers, work=WORK, **options):
    return "\n".join(fleet_lines(FleetCost(work, fleet_of(workers, **options))))


def test_the_first_line_has_time_and_price():
    first = text(16, price=1.5, cores=8).splitlines()[0]
    assert first.startswith("16 workers of 8 cores, and a driver: 2 min, ")
    assert " at 1.50 for each machine and hour" in first
    assert "hour" not in text(1).splitlines()[0]


def test_the_bottleneck_and_what_to_change():
    said = text(1000, network="1Mbit/s")
    assert "bottleneck: network of the driver; give the driver a faster network" in said


def test_how_many_workers_are_enough():
    slow = replace(WORK, encoding=1e5)
    best = FleetCost(slow, fleet_of(1)).most_useful
    assert f"more workers help up to {best}, which take" in text(1, slow)
    assert "  more workers do not help" in text(best, slow)
    assert f"  {best} workers would do" in text(best + 1, slow)


def test_assumed_figures_are_named_and_given_ones_too():
    said = text(2, storage="10GB/s")
    assert "storage, all together: 10.0 GB/s (as given with --storage)" in said
    assert "network of a machine: 3.12 GB/s (assumed" in said
    assert "a task: 3 ms (measured" in said


def test_what_is_not_counted_is_said():
    said = text(2, replace(WORK, not_estimated=("to find codes by gptq",)))
    assert "at least" in said.splitlines()[0]
    assert "not counted: to find codes by gptq" in said


def test_who_writes_is_said():
    assert "the driver writes" in text(2)
    assert "workers write into the folder" in text(2, shared=True)
