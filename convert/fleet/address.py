"""What ``--on`` says: where the workers of a run are."""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from convert.errors import UsageError

_PREFIX = "ray://"
_EXPECTED = (
    "'ray' (the cluster that RAY_ADDRESS names or that runs on this machine, or one started here), "
    "or 'ray://HOST:PORT'"
)


_ANSWER_HERE = 2.0
"""Seconds for a cluster of this machine to answer."""


@dataclass(frozen=True)
class Address:
    """A Ray cluster.

    Args:
        for_ray: What `ray.init` takes: ``host:port`` of a cluster that this machine belongs to, or
            ``ray://host:port`` of one that it does not. None for the one that runs here, or is to
            be started here.
    """

    for_ray: str | None


def parse_address(text: str) -> Address:
    """What the option says.

    Raises:
        UsageError: It is not understood.
    """
    if text == "ray":
        return Address(os.environ.get("RAY_ADDRESS") or None)
    host, _, port = text.removeprefix(_PREFIX).rpartition(":")
    if not text.startswith(_PREFIX) or not host or not port.isdigit():
        raise UsageError(f"--on {text!r} names no workers", expected=_EXPECTED)
    return Address(text)


def cluster_of_this_machine() -> str | None:
    """``host:port`` of the cluster that `ray start` made here, if it still answers.

    Ray itself goes by the file alone, and waits for minutes where a cluster was killed or the
    machine was started anew.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or tempfile.gettempdir()
    try:
        address = (Path(folder) / "ray" / "ray_current_cluster").read_text().strip()
        require_answer(address, _ANSWER_HERE)
    except OSError:
        return None
    return address or None


def require_answer(address: str, patience: float) -> None:
    """Be certain that somebody listens at an address.

    Args:
        address: ``host:port`` or ``ray://host:port``; any other is taken to be right.
        patience: Seconds.

    Raises:
        OSError: Nobody does.
    """
    host, _, port = address.removeprefix(_PREFIX).rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
