"""What Ray raises, as errors that say what to do."""

from __future__ import annotations

from convert.errors import OutOfMemoryError, UnavailableWorkersError


class LostTaskError(UnavailableWorkersError):
    """Whoever did a task is gone, or what it made."""


_KEPT = "run the same command again: what was written is kept"


def explained(error: Exception) -> Exception:
    """The error to raise for one of Ray's: what a task raised, as it raised it."""
    from ray import exceptions

    if isinstance(error, exceptions.RayTaskError):
        return error.cause if isinstance(error.cause, Exception) else error
    if isinstance(error, exceptions.OutOfMemoryError):
        return OutOfMemoryError(
            "Ray ended a worker again and again, because its machine had no memory left",
            found=_first_line(error),
            remedy="allow less with --memory, or use machines with more",
        )
    if isinstance(error, exceptions.RayActorError) and error.actor_init_failed:
        return UnavailableWorkersError(
            "a worker of the cluster cannot begin",
            expected="Tricast and its packages on every machine, of the driver's versions",
            found=_last_line(error),
            remedy="install the same versions on all machines, for instance by one image",
        )
    if isinstance(error, (exceptions.RayError, ConnectionError)):
        return LostTaskError(
            "the cluster lost a task and could not do it again",
            expected="a cluster that lives as long as the run, or machines that come back",
            found=_first_line(error),
            remedy=_KEPT,
        )
    return error


def no_room(needed: int, most: int) -> OutOfMemoryError:
    """The error of a task that needs more bytes than any process can have."""
    return OutOfMemoryError(
        "no machine of the cluster has the memory for a task",
        expected=f"{needed:,} bytes on one machine that has a CPU to offer",
        found=f"{most:,} bytes",
        remedy="allow less with --memory, or start Ray with more (--memory of `ray start`)",
    )


def no_workers(seconds: float) -> UnavailableWorkersError:
    """The error of a cluster of which nothing is left."""
    return UnavailableWorkersError(
        f"no machine of the cluster has answered for {seconds:.0f} seconds",
        expected="at least one worker",
        remedy=f"start one, and {_KEPT}",
    )


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:300]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]
