"""Workers that are processes of a Ray cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

from convert.chunk_worker import Output
from convert.executors import Executing, Executor
from convert.fleet.actors import Actors
from convert.fleet.address import Address
from convert.fleet.agreement import Agreement, of_this_process
from convert.fleet.cluster import Cluster, imported_ray
from convert.fleet.ray_executor import RayExecutor
from convert.fleet.task_memory import WORKER_BYTES
from convert.hashing import in_background
from convert.progress import Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayWorkers:
    """See `convert.workers.Workers`. Use as a context manager, which leaves the cluster.

    Args:
        address: Of the cluster.
        cores: Of this machine, if the cluster has to be started here.
        reporter: Told who works, and what was done.
    """

    def __init__(self, address: Address, cores: int, reporter: Reporter) -> None:
        self._reporter = reporter
        self._connected: Future[tuple[Cluster, Actors]] = Future()
        self._leaving = Event()
        # While workers start, the driver opens the checkpoint. On the thread that starts them, the
        # import would share its core with all else that the driver imports, and they come late.
        imported_ray()
        self._thread = Thread(target=self._live, args=(address, cores), daemon=True)
        self._thread.start()

    @property
    def cluster(self) -> Cluster:
        """The cluster, as soon as it is there."""
        return self._connected.result()[0]

    @property
    def _actors(self) -> Actors:
        return self._connected.result()[1]

    @property
    def count(self) -> int:
        """CPUs of the cluster."""
        return self.cluster.cores

    @property
    def executing(self) -> Executing:
        """Makes a `RayExecutor`."""
        return self._execute

    def warm_up(self, encodings: Collection[str], *, weighted: bool) -> None:
        """See `convert.workers.Workers`."""
        in_background(lambda: self._actors.warm_up(tuple(encodings), weighted))

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, memory: int = 0
    ) -> Iterator[Result]:
        """See `convert.workers.Workers`."""
        memory += WORKER_BYTES
        self.cluster.require_room(memory)
        self._actors.close()  # their cores are wanted
        laid_down = self.cluster.put(function)
        agreement, left = of_this_process(), deque(items)
        working: deque[Any] = deque()
        while left or working:
            while left and len(working) < 2 * self.count:
                given = (agreement, laid_down, left.popleft())
                working.append(self.cluster.submit(_call, *given, memory=memory))
            while not self.cluster.ready([working[0]]):
                pass
            yield self.cluster.value(working.popleft())

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def _live(self, address: Address, cores: int) -> None:
        """Be connected until it is left: what Ray starts ends with the thread that started it."""
        try:
            cluster = Cluster(address, cores)
            actors = Actors(cluster, of_this_process())
            actors.open()
        except BaseException as error:
            self._connected.set_exception(error)
            return
        self._connected.set_result((cluster, actors))
        self._leaving.wait()
        actors.close()
        cluster.close()

    def _execute(
        self,
        outputs: Mapping[Path, Output],
        threads: int,
        done: Callable[[int], None],
        abandon: Callable[[], None],
    ) -> Executor:
        cores, machines = self.cluster.cores, self.cluster.machines
        self._reporter.say(f"fleet: {cores} cores on {machines} machines")
        return RayExecutor(self.cluster, self._actors, self._reporter.say, outputs, done, abandon)


def _call(agreement: Agreement, function: Callable[[Any], Any], item: Any) -> Any:
    agreement.require_versions()
    return function(item)
