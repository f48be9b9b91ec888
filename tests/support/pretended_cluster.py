"""A Ray cluster of pretence: its processes are objects here, and calls go through pickle."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from convert.fleet.cluster import MachineSize
from convert.fleet.ray_errors import LostTaskError


class PretendedCluster:
    """Tasks are done when somebody waits for them, the last one first.

    Args:
        machines: How many, each with a core.
        lost: Number of the call, counted from 0, whose process is lost with it.
        broken: Number of the call that ends in another error.
        memory: Of each machine, in bytes.
    """

    def __init__(
        self,
        machines: int = 1,
        lost: int | None = None,
        broken: int | None = None,
        memory: int = 4 << 30,
    ) -> None:
        self.machines, self.memory = machines, memory
        self.lost, self.broken = lost, broken
        self.tasks: list[tuple[str, Any]] = []
        self.started: list[Process] = []
        self.laid_down = 0

    @property
    def ended(self) -> int:
        return sum(process.ended for process in self.started if process.has_room)

    def sizes(self) -> Sequence[MachineSize]:
        return [MachineSize(1, self.memory)] * self.machines

    def put(self, value: object) -> LaidDown:
        self.laid_down += 1
        return LaidDown(pickle.dumps(value))

    def start(self, kind: type, *arguments: object, cores: int, memory: int) -> Process:
        running = sum(process.has_room and not process.ended for process in self.started)
        self.started.append(Process(kind(*arguments), cores, memory, running < self.machines))
        return self.started[-1]

    def ask(self, process: Process, method: str, *arguments: object) -> Task:
        number = -1
        if method not in {"prepare", "warm_up"}:
            number = len(self.tasks)
            self.tasks.append((method, pickle.loads(pickle.dumps(arguments))))
        return Task(self, process, number, method, pickle.dumps(arguments))

    def end(self, process: Process) -> None:
        process.ended = True

    def ready(self, waiting: Sequence[Any]) -> list[Any]:
        """The last one that can be done; processes that begin come first."""
        begun = [each for each in waiting if each.method == "prepare" and each.can_begin]
        return begun[:1] or [each for each in waiting if each.method != "prepare"][-1:]

    def value(self, result: Any) -> Any:
        return result.result()


class LaidDown:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Process:
    def __init__(self, instance: Any, cores: int, memory: int, has_room: bool) -> None:
        self.instance, self.cores, self.memory = instance, cores, memory
        self.has_room, self.ended = has_room, False


class Task:
    """A call and its result."""

    def __init__(
        self, cluster: PretendedCluster, process: Process, number: int, method: str, data: bytes
    ) -> None:
        self.cluster, self.process, self.number = cluster, process, number
        self.method, self.data = method, data

    @property
    def can_begin(self) -> bool:
        running = sum(each.has_room and not each.ended for each in self.cluster.started)
        if not self.process.has_room and running < self.cluster.machines:
            self.process.has_room = True
        return self.process.has_room and not self.process.ended

    def result(self) -> Any:
        if self.number == self.cluster.broken:
            raise ConnectionError("the task is broken")
        if self.number == self.cluster.lost:
            self.process.ended = True
        if self.process.ended:
            raise LostTaskError("gone", expected="a worker")
        given = [
            pickle.loads(each.data) if isinstance(each, LaidDown) else each
            for each in pickle.loads(self.data)
        ]
        made = getattr(self.process.instance, self.method)(*given)
        return pickle.loads(pickle.dumps(made))
