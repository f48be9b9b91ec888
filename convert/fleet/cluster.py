"""A Ray cluster: joined or started, asked to do tasks, and left."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from convert.errors import OutOfMemoryError, UnavailableWorkersError, UsageError
from convert.fleet.address import Address, cluster_of_this_machine, require_answer
from convert.fleet.ray_errors import explained, no_workers

RETRIES = 8
"""Of a task whose worker or machine is lost."""

_PATIENCE = 60.0
"""Seconds without any machine, after which a run ends with an error instead of waiting on."""

_ANSWER = 10.0
"""Seconds for a cluster to answer at all; Ray itself would ask for half a minute."""

_NICENESS = "RAY_worker_niceness"

_LOOK = 1.0
"""Seconds after which a wait is broken off, to see signals and lost machines."""


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
        self._ray = _imported()
        self._joined_before = self._ray.is_initialized()
        if not self._joined_before:
            _connect(self._ray, address, cores)
        self.is_client = self._ray.util.client.ray.is_connected()
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

    def require_room(self, memory: int) -> None:
        """Refuse a task that Ray would never start.

        Args:
            memory: Bytes that the task needs.

        Raises:
            OutOfMemoryError: No machine has so much.
        """
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = max((node.get("memory", 0) for node in nodes if node.get("CPU", 0) >= 1), default=0)
        if nodes and most < memory:
            raise OutOfMemoryError(
                "no machine of the cluster has the memory for a task",
                expected=f"{memory:,} bytes on one machine that has a CPU to offer",
                found=f"{int(most):,} bytes",
                remedy="allow less with --memory, or start Ray with more (--memory of `ray start`)",
            )

    def put(self, value: object) -> Any:
        """Lay something down that many tasks are given."""
        return self._ray.put(value)

    def submit(
        self, function: Callable[..., Any], *arguments: object, memory: int, results: int = 1
    ) -> Any:
        """Have a task done.

        Args:
            function: Importable, or small.
            arguments: Can be pickled, or what `put` gave.
            memory: Bytes that it needs.
            results: More than one are yielded by ``function``, one after another. Such a task is
                not done again if it is lost: Ray would keep its arguments and results until the
                end, for tasks that might be needed again.

        Returns:
            What `ready` and `value` are asked about: for several results they come in order.
        """
        key = (function, results)
        if key not in self._tasks:
            returns: int | str = "streaming" if results > 1 and not self.is_client else results
            retries = RETRIES if results == 1 else 0
            remote = self._ray.remote(num_cpus=1, max_retries=retries, num_returns=returns)
            self._tasks[key] = remote(function)
        spread = {"memory": memory, "scheduling_strategy": "SPREAD"}
        return self._tasks[key].options(**spread).remote(*arguments)

    def ready(self, waiting: Sequence[Any]) -> list[Any]:
        """Those of several results that are there; none after a second without any.

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
        """A result that is ready, or the next one of several.

        Raises:
            LostTaskError: The task was lost.
            Exception: What the task raised.
        """
        streaming = isinstance(result, self._ray.ObjectRefGenerator)
        try:
            return self._ray.get(next(result) if streaming else result)
        except StopIteration:
            raise
        except Exception as error:
            raise explained(error) from None

    def cancel(self, results: Sequence[Any]) -> None:
        """Have tasks that have not begun not done at all."""
        for result in results:
            try:
                self._ray.cancel(result)
            except Exception:
                logging.getLogger(__name__).debug("a task was not cancelled", exc_info=True)

    def close(self) -> None:
        """Leave the cluster."""
        if not self._joined_before:
            self._ray.shutdown()


def _imported() -> Any:
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
