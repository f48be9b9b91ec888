from __future__ import annotations

import pytest

from convert.errors import OutOfMemoryError, UnavailableWorkersError
from convert.fleet import actors as module
from convert.fleet.actors import Actors
from convert.fleet.agreement import Agreement, of_this_process
from convert.fleet.cluster import MachineSize
from convert.fleet.ray_errors import LostTaskError
from convert.fleet.task_memory import WORKER_BYTES
from tests.support.pretended_cluster import PretendedCluster

GIB = 1 << 30


class Machines(PretendedCluster):
    """Of given sizes, with room for as many processes as they have together."""

    def __init__(self, *sizes):
        super().__init__(machines=sum(size.cores for size in sizes))
        self.given = sizes

    def sizes(self):
        return self.given


def opened(cluster):
    found = Actors(cluster, of_this_process())
    found.open()
    while not found.has_room(1):
        found.ready([])
    return found


def test_a_process_has_the_cores_of_the_smallest_machine_and_its_share_of_memory():
    cluster = Machines(MachineSize(4, 8 * GIB), MachineSize(8, 12 * GIB))
    opened(cluster)
    first = cluster.started[0]
    assert (first.cores, first.memory) == (4, 6 * GIB)
    assert len(cluster.started) == 1 + 2 + 1


def test_a_large_machine_has_several_processes():
    cluster = Machines(MachineSize(64, 64 * GIB))
    actors = opened(cluster)
    assert {process.cores for process in cluster.started} == {16}
    assert actors.threads == 64


def test_a_cluster_without_machines_is_asked_all_the_same():
    cluster = Machines()
    Actors(cluster, of_this_process()).open()
    assert [process.cores for process in cluster.started] == [1, 1]


def test_one_more_is_asked_for_when_all_have_begun():
    cluster = PretendedCluster()
    actors = opened(cluster)
    assert len(cluster.started) == 2
    cluster.machines = 2
    for _ in range(3):
        actors.ready([])
    assert len(cluster.started) == 3


def test_where_none_begins_smaller_ones_are_asked_for(monkeypatch):
    cluster = Machines(MachineSize(4, 8 * GIB))
    cluster.machines = 0
    monkeypatch.setattr(module, "_PATIENCE", -1.0)
    actors = Actors(cluster, of_this_process())
    actors.open()
    for _ in range(4):
        actors.ready([])
    assert [process.cores for process in cluster.started] == [4, 4, 2, 2, 2, 1, 1, 1, 1, 1]
    assert sum(not process.ended for process in cluster.started) == 5


def test_a_task_larger_than_a_process_is_refused():
    actors = opened(Machines(MachineSize(2, 2 * GIB)))
    with pytest.raises(OutOfMemoryError, match="no machine") as caught:
        actors.has_room(2 * GIB)
    assert f"{WORKER_BYTES + 2 * GIB:,}" in caught.value.expected


@pytest.mark.parametrize(("memory", "tasks"), [(1, 6), (GIB // 2, 6), (GIB, 1)])
def test_a_process_is_given_no_more_than_fits(memory, tasks):
    actors = opened(Machines(MachineSize(2, 2 * GIB)))
    given = 0
    while actors.has_room(memory) and given < 10:
        actors.least_busy().tasks += 1
        given += 1
    assert given == tasks


def test_one_that_has_least_to_do_is_next():
    actors = opened(Machines(MachineSize(1, GIB), MachineSize(1, GIB)))
    actors.ready([])
    for _ in range(4):
        actors.least_busy().tasks += 1
    assert [actor.tasks for actor in actors._here] == [2, 2]


def test_a_lost_one_is_ended_and_replaced_once():
    cluster = PretendedCluster()
    actors = opened(cluster)
    actor = actors.least_busy()
    actors.lost(actor)
    actors.lost(actor)
    assert cluster.ended == 1
    assert len(cluster.started) == 3
    assert not actors.has_room(1)


def test_when_the_last_one_is_lost_late_its_like_is_waited_for():
    cluster = Machines(MachineSize(4, 8 * GIB))
    cluster.machines = 1
    actors = opened(cluster)
    actors._asked_at -= 2 * module._PATIENCE
    cluster.machines = 0
    actors.lost(actors.least_busy())
    actors.ready([])
    assert [process.cores for process in cluster.started] == [4, 4, 4]


def test_processes_that_end_as_they_begin_end_the_run():
    class Failing(PretendedCluster):
        def value(self, result):
            result.process.ended = True
            raise LostTaskError("gone", expected="a worker")

    cluster = Failing()
    actors = Actors(cluster, of_this_process())
    actors.open()
    with pytest.raises(LostTaskError):
        for _ in range(100):
            actors.ready([])
    assert len(cluster.started) < 20


def test_a_process_with_other_packages_is_refused():
    actors = Actors(PretendedCluster(), Agreement({"numpy": "0.1"}, "other"))
    actors.open()
    with pytest.raises(UnavailableWorkersError, match="other packages"):
        actors.ready([])


def test_closed_ones_are_ended_and_asked_for_anew():
    cluster = PretendedCluster()
    actors = opened(cluster)
    actors.close()
    assert all(process.ended for process in cluster.started)
    actors.open()
    assert len(cluster.started) == 4


def test_kernels_are_loaded_by_those_that_are_there_and_those_that_come():
    asked = []

    class Told(PretendedCluster):
        def ask(self, process, method, *arguments):
            asked.append((self.started.index(process), method, arguments))
            return super().ask(process, method, *arguments)

    actors = opened(Told())
    actors.warm_up(("q4_0",), True)
    actors.lost(actors.least_busy())
    warmed = [number for number, method, _ in asked if method == "warm_up"]
    assert warmed == [0, 1, 2]
