"""A Ray cluster: joined or started, asked to do tasks, and left."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from convert.errors import UnavailableWorkersError, UsageError
from convert.fleet.address import Address, cluster_of_this_machine, require_answer
from convert.fleet.ray_errors import explained, no_room, no_workers

RETRIES = 8
"""Of a task whose worker or machine is lost."""

_PATIENCE = 60.0
"""Seconds without any machine, after which a run ends with an error instead of waiting on."""

_ANSWER = 10.0
"""Seconds for a cluster to answer at all; Ray itself would ask for half a minute."""

_NICENESS = "RAY_worker_niceness"

_LOOK = 1.0
"""Seconds after which a wait is broken off, to see signals and lost machines."""


@dataclass(frozen=True)
class MachineSize:
    """What a machine has for tasks: CPUs, and bytes of memory."""

    cores: int
    memory: int


class Cluster:
    """A connection to Ray. Leaves it, and ends it if it was started here, on `close`.

    Args:
        address: Where it is.
        cores: Of this machine to use, if the cluster has to be started here.

    Raises:
        UsageError: The extra is not installed.
        UnavailableWorkersError: There is no cluster, or one with another Ray or Python.
    """

    def __init__(self, address: Address, cores: int) -> None:
        self._ray = imported_ray()
        self._joined_before = self._ray.is_initialized()
        if not self._joined_before:
            _connect(self._ray, address, cores)
        self._tasks: dict[Any, Any] = {}
        self._seen_alive = time.monotonic()

    @property
    def cores(self) -> int:
        """CPUs of all machines that are there now; at least one."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    @property
    def machines(self) -> int:
        """Those that are there now."""
        return sum(bool(node["Alive"]) for node in self._ray.nodes())

    def sizes(self) -> list[MachineSize]:
        """Of the machines that are there now and have a CPU."""
        found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [
            MachineSize(int(each["CPU"]), int(each.get("memory", 0)))
            for each in found
            if each.get("CPU", 0) >= 1
        ]

    def require_room(self, memory: int) -> None:
        """Refuse a task that Ray would never start.

        Args:
            memory: Bytes that the task needs.

        Raises:
            OutOfMemoryError: No machine has so much.
        """
        most = max((size.memory for size in self.sizes()), default=memory)
        if most < memory:
            raise no_room(memory, most)

    def put(self, value: object) -> Any:
        """Lay something down that many tasks are given."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], *arguments: object, memory: int) -> Any:
        """Have a task done on a CPU; again, if it is lost.

        Args:
            function: Importable, or small.
            arguments: Can be pickled, or what `put` gave.
            memory: Bytes that it needs.

        Returns:
            What `ready` and `value` are asked about.
        """
        if function not in self._tasks:
            self._tasks[function] = self._ray.remote(num_cpus=1, max_retries=RETRIES)(function)
        spread = {"memory": memory, "scheduling_strategy": "SPREAD"}
        return self._tasks[function].options(**spread).remote(*arguments)

    def start(self, kind: type, *arguments: object, cores: int, memory: int) -> Any:
        """Start a process as soon as a machine has room for it.

        Args:
            kind: Class of which it holds an instance; as many calls at once as it has cores.
            arguments: For the instance.
            cores: CPUs that are its own.
            memory: Bytes that are its own.

        Returns:
            What `ask` and `end` are asked about.
        """
        place = {"num_cpus": cores, "memory": memory, "scheduling_strategy": "SPREAD"}
        settings = {"max_concurrency": cores, "max_restarts": 0, "enable_task_events": False}
        made = self._ray.remote(**settings)(kind)
        return made.options(**place).remote(*arguments)

    def ask(self, process: Any, method: str, *arguments: object) -> Any:
        """Have a process do a task; it is lost if the process is.

        Args:
            process: What `start` returned.
            method: Of its instance.
            arguments: Can be pickled, or what `put` gave.

        Returns:
            What `ready` and `value` are asked about.
        """
        return getattr(process, method).remote(*arguments)

    def end(self, process: Any) -> None:
        """End a process, whatever it does."""
        try:
            self._ray.kill(process)
        except Exception:
            logging.getLogger(__name__).debug("a process was not ended", exc_info=True)

    def ready(self, waiting: Sequence[Any]) -> list[Any]:
        """One of the results that is there; none after a second without any.

        Raises:
            UnavailableWorkersError: There has been no machine for a minute.
        """
        try:
            found, _ = self._ray.wait(list(waiting), num_returns=1, timeout=_LOOK)
            if found or self._ray.cluster_resources().get("CPU", 0) >= 1:
                self._seen_alive = time.monotonic()
        except Exception as error:
            raise explained(error) from None
        if time.monotonic() - self._seen_alive > _PATIENCE:
            raise no_workers(_PATIENCE)
        return list(found)

    def value(self, result: Any) -> Any:
        """A result that is ready.

        Raises:
            LostTaskError: The task was lost.
            Exception: What the task raised.
        """
        try:
            return self._ray.get(result)
        except Exception as error:
            raise explained(error) from None

    def close(self) -> None:
        """Leave the cluster."""
        if not self._joined_before:
            self._ray.shutdown()


def imported_ray() -> Any:
    """Ray itself.

    Raises:
        UsageError: The extra is not installed.
    """
    # Nothing is to be reported to anybody, and no accelerator is hidden from a task.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Workers of a cluster that is started here are the run: nothing else is to go before them.
    os.environ.setdefault(_NICENESS, "0")
    try:
        import ray
    except ImportError:
        raise UsageError(
            "--on ray needs a package that is missing",
            expected="the extra `ray`",
            remedy="pip install 'tricast[ray]'",
        ) from None
    return ray


def _connect(ray: Any, address: Address, cores: int) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address.for_ray is not None:
            require_answer(address.for_ray, _ANSWER)
            ray.init(address=address.for_ray, **quiet)
            return
        running = cluster_of_this_machine()
        if running is not None:
            ray.init(address=running, **quiet)
        else:
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    except Exception as error:
        raise UnavailableWorkersError(
            f"there is no cluster at {address.for_ray or 'this machine'} that can be used",
            expected="a Ray cluster that runs, of the same version of Ray and Python",
            found=str(error).strip().splitlines()[0][:300] if str(error) else repr(error),
            remedy="check the address, and start it with `ray start`",
        ) from None
