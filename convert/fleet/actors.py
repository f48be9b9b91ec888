"""The worker processes of a run: asked for, given tasks, and replaced when they are lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convert.fleet.agreement import Agreement
from convert.fleet.cluster import Cluster, MachineSize
from convert.fleet.ray_errors import LostTaskError, no_room
from convert.fleet.task_memory import WORKER_BYTES
from convert.fleet.worker_process import WorkerProcess

_MOST_CORES = 16
"""Of a process: with more, its threads would wait for Python's lock."""

_IN_FLIGHT = 3
"""Tasks for each core of a process: one in work, others on their way to it or back."""

_PATIENCE = 30.0
"""Seconds without any process, after which smaller ones are asked for: somebody else may have some
of the cores of every machine.
"""

_UNKNOWN = MachineSize(cores=1, memory=4 << 30)
"""What is asked of a cluster that has no machine yet."""

_MOST_LOST = 8
"""Processes that end before they have begun, one after the other, until the run does."""


@dataclass(eq=False)
class Actor:
    """A worker process.

    Args:
        handle: Ray's.
        tasks: That it has and has not done yet.
    """

    handle: Any
    tasks: int = 0


class Actors:
    """As many processes as a cluster has room for, each with the cores of its smallest machine.

    One more is always asked for: it begins on a machine that comes later, or has cores free later,
    and tells a cluster that can grow to do so.

    Args:
        cluster: Where.
        agreement: What the driver computes with.
    """

    def __init__(self, cluster: Cluster, agreement: Agreement) -> None:
        self._cluster, self._agreement = cluster, agreement
        self._here: list[Actor] = []
        self._coming: dict[Any, Actor] = {}
        self._cores, self._memory, self._room_for, self._lost_early = 1, 0, 1, 0
        self._patience, self._asked_at = _PATIENCE, 0.0
        self._kernels: tuple[Sequence[str], bool] | None = None

    def open(self) -> None:
        """Ask for processes, unless that was done."""
        if not self._here and not self._coming:
            least = min(size.cores for size in self._sizes())
            self._ask_for_all(min(least, _MOST_CORES))

    def warm_up(self, encodings: Sequence[str], weighted: bool) -> None:
        """Have all processes, those to come too, load the kernels of encodings; it is not waited
        for. See `passes.encodings.warm_up`.
        """
        self._kernels = (encodings, weighted)
        for actor in [*self._here, *self._coming.values()]:
            self._cluster.ask(actor.handle, "warm_up", *self._kernels)

    def close(self) -> None:
        """End all processes, whatever they do."""
        for actor in [*self._here, *self._coming.values()]:
            self._cluster.end(actor.handle)
        self._here.clear()
        self._coming.clear()

    @property
    def threads(self) -> int:
        """Of all processes that have begun, or that the cluster had room for when asked."""
        return self._cores * max(self._room_for, len(self._here))

    def has_room(self, memory: int) -> bool:
        """Whether some process can take a task.

        Args:
            memory: Bytes that the task needs.

        Raises:
            OutOfMemoryError: None ever will.
        """
        return any(actor.tasks < self._most_tasks(memory) for actor in self._here)

    def least_busy(self) -> Actor:
        """The process that has least to do; there must be one."""
        return min(self._here, key=lambda each: each.tasks)

    def ask(self, actor: Actor, method: str, *arguments: object) -> Any:
        """See `convert.fleet.cluster.Cluster.ask`."""
        return self._cluster.ask(actor.handle, method, *arguments)

    def lost(self, actor: Actor) -> None:
        """Ask for another process instead of one that has not answered."""
        if actor in self._here:
            self._here.remove(actor)
            self._cluster.end(actor.handle)
            self._asked_at = time.monotonic()
            self._ask()

    def ready(self, results: Sequence[Any]) -> list[Any]:
        """See `convert.fleet.cluster.Cluster.ready`; takes in processes that have begun, too.

        Raises:
            UnavailableWorkersError: A process cannot work for this driver, or none begins.
        """
        found = self._cluster.ready([*results, *self._coming])
        begun = [each for each in found if each in self._coming]
        for each in begun:
            self._take_in(each)
        if not self._here and self._cores > 1 and self._waited() > self._patience:
            self.close()
            self._patience *= 2
            self._ask_for_all(self._cores // 2)
        return [each for each in found if each not in begun]

    def _most_tasks(self, memory: int) -> int:
        room = self._memory - WORKER_BYTES
        if memory > room:
            raise no_room(WORKER_BYTES + memory, self._memory)
        fitting = room // max(1, memory)
        return _IN_FLIGHT * self._cores if fitting >= self._cores else fitting

    def _sizes(self) -> Sequence[MachineSize]:
        return self._cluster.sizes() or [_UNKNOWN]

    def _waited(self) -> float:
        return time.monotonic() - self._asked_at

    def _ask_for_all(self, cores: int) -> None:
        sizes = self._sizes()
        self._cores = cores
        self._memory = min(size.memory * cores // size.cores for size in sizes)
        self._asked_at = time.monotonic()
        self._room_for = sum(size.cores // cores for size in sizes)
        for _ in range(self._room_for + 1):
            self._ask()

    def _ask(self) -> None:
        handle = self._cluster.start(
            WorkerProcess, self._agreement, cores=self._cores, memory=self._memory
        )
        self._coming[self._cluster.ask(handle, "prepare")] = Actor(handle)
        if self._kernels is not None:
            self._cluster.ask(handle, "warm_up", *self._kernels)

    def _take_in(self, begun: Any) -> None:
        actor = self._coming.pop(begun)
        try:
            self._cluster.value(begun)
        except LostTaskError:
            self._lost_early += 1
            if self._lost_early > _MOST_LOST:
                raise
            self._ask()
            return
        self._lost_early = 0
        self._here.append(actor)
        if not self._coming:
            self._ask()
