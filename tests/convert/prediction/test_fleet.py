"""A fleet is as fast as its slowest stage, which is named; more workers never make it slower."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.calibration_cost import Matrix
from convert.hardware.fleet import Fleet
from convert.hardware.profile import Figure
from convert.inputs import FILES_AT_ONCE
from convert.prediction import fleet as module
from convert.prediction.fleet import FleetCost
from convert.prediction.fleet_work import FleetWork, TextPath
from convert.sources.object_storage_files import WINDOWS_AHEAD

TEXT = TextPath(128, {Matrix(8192, 8192, 16, False): 300, Matrix(2048, 7168, 4, True): 100}, 3, 0.1)
WORK = FleetWork(100_000_000_000, (30_000_000_000, 20_000_000_000), 1e3, 12_000, TEXT)
FIGURES = ("network", "storage", "request", "hashing", "disk", "task", "start")


def fleet(workers=4, **values):
    figures = {name: Figure(value=value, source="of the test") for name, value in values.items()}
    return Fleet(workers=workers, **figures)


SPEEDS = st.floats(1e5, 1e13)
FLEETS = st.builds(
    lambda shared, cores, values, task, start: fleet(
        1, **dict(zip(FIGURES, [*values, task, start], strict=True))
    ).model_copy(update={"cores": cores, "shared": shared, "price": 1.0}),
    st.booleans(),
    st.integers(1, 256),
    st.lists(SPEEDS, min_size=5, max_size=5),
    st.floats(1e-6, 10),
    st.floats(1e-3, 1e5),
)
WORKS = st.builds(
    FleetWork,
    st.integers(1, 10**13),
    st.lists(st.integers(1, 10**13), min_size=1, max_size=4).map(tuple),
    st.floats(1e-3, 1e7),
    st.integers(1, 10**6),
    st.sampled_from([None, TEXT]),
)


@settings(max_examples=40)
@given(WORKS, FLEETS, st.integers(1, 1000), st.integers(1, 1000))
def test_more_workers_never_take_longer(work, each, some, more):
    cost = FleetCost(work, each)
    few, many = cost.with_workers(some), cost.with_workers(some + more)
    assert many.seconds <= few.seconds


@settings(max_examples=40)
@given(WORKS, FLEETS)
def test_the_bottleneck_is_the_longest_stage_and_the_run_no_shorter(work, each):
    cost = FleetCost(work, each)
    assert cost.bottleneck.seconds == max(stage.seconds for stage in cost.stages)
    assert cost.seconds >= cost.bottleneck.seconds
    assert cost.seconds <= 2 * cost.bottleneck.seconds
    assert cost.remedy
    assert cost.price == pytest.approx(2 * cost.seconds / 3600)


@settings(max_examples=30)
@given(WORKS, FLEETS)
def test_as_many_workers_as_are_useful_are_the_fewest_of_that_speed(work, each):
    cost = FleetCost(work, each)
    best, least = cost.most_useful, cost.with_workers(1 << 16).seconds
    assert cost.with_workers(best).seconds <= 1.01 * least
    assert best == 1 or cost.with_workers(best - 1).seconds > 1.01 * least


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"storage": 1e6}, module.STORAGE),
        ({"network": 1e6}, module.DRIVER),
        ({"disk": 1e6}, module.DISK),
        ({"task": 10}, module.TASKS),
        ({"hashing": 1e6}, module.MADE_HASH),
        ({"start": 1e6}, module.START),
    ],
)
def test_what_is_slow_is_named(values, name):
    bare = replace(WORK, text=None)
    assert FleetCost(bare, fleet(**values)).bottleneck.name == name


def test_slow_requests_hold_up_what_is_sent():
    large = replace(WORK, artifacts=(400_000_000_000,), text=None)
    assert FleetCost(large, fleet(64, request=1e6)).bottleneck.name == module.UPLOADS


def test_slow_requests_hold_up_the_hash_of_a_checkpoint():
    cost = FleetCost(replace(WORK, text=None), fleet(64, request=1e7))
    named = {stage.name: stage.seconds for stage in cost.stages}
    requests = FILES_AT_ONCE * WINDOWS_AHEAD
    assert named[module.SOURCE_HASH] == pytest.approx(WORK.source / (requests * 1e7))


FAST = {"request": 1e12, "network": 1e12, "storage": 1e13, "hashing": 1e12, "disk": 1e12}


def test_few_cores_encode_slowly():
    bare = replace(WORK, text=None, encoding=1e6)
    one, ten = (FleetCost(bare, fleet(count, **FAST)) for count in (1, 10))
    assert one.bottleneck.name == ten.bottleneck.name == module.CORES
    assert (one.seconds - 30) / (ten.seconds - 30) == pytest.approx(10)


def test_a_text_waits_at_every_weight():
    # A weight of 16 chunks keeps no more than 16 cores busy, however many there are.
    cost = FleetCost(WORK, fleet(64, **{**FAST, "request": 16 << 20, "task": 0.5}))
    named = {stage.name: stage.seconds for stage in cost.with_workers(1000).stages}
    assert named[module.TEXT] == pytest.approx(3 + 400 * (1 + 0.5), rel=0.02)


def test_workers_that_write_spare_the_driver_uploads_and_disk():
    driver, shared = (
        FleetCost(replace(WORK, text=None), fleet(16).model_copy(update={"shared": shared}))
        for shared in (False, True)
    )
    spared = {stage.name for stage in driver.stages} - {stage.name for stage in shared.stages}
    assert spared == {module.DISK, module.UPLOADS}
    assert driver.to_json()["written_by"] == "driver"
    assert shared.to_json()["written_by"] == "workers"


def test_the_start_is_waited_for_and_may_be_the_longest():
    small = FleetWork(10**6, (10**6,), 0.1, 1, None)
    cost = FleetCost(small, fleet())
    assert cost.bottleneck.name == module.START
    assert cost.most_useful == 1
    assert 30 < cost.seconds < 31


def test_the_json_is_whole():
    document = FleetCost(WORK, fleet(7).model_copy(update={"price": 2.0})).to_json()
    assert document["workers"] == 7
    assert document["stages"][document["bottleneck"]] == max(document["stages"].values())
    assert document["price"] == pytest.approx(8 * 2 * document["seconds"] / 3600, abs=0.01)
    assert all(each["source"] for each in document["assumptions"].values())
    assert document["seconds_with_them"] <= document["seconds"]
