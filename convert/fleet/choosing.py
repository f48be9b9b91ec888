"""Who works for a run, by what the user says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from convert.progress import Reporter
from convert.workers import THIS_PROCESS, Workers


def workers_at(
    place: str | None, cores: int, reporter: Reporter
) -> AbstractContextManager[Workers]:
    """Workers, until the context ends.

    Args:
        place: What ``--on`` says; None for this process.
        cores: Of this machine to use, where a cluster has to be started on it.
        reporter: Told who works.

    Raises:
        UsageError: The place is not understood, or a package is missing.
        UnavailableWorkersError: There is no cluster; raised when it is first needed.
    """
    if place is None:
        return nullcontext(THIS_PROCESS)
    from convert.fleet.address import parse_address
    from convert.fleet.ray_workers import RayWorkers

    return RayWorkers(parse_address(place), cores, reporter)
