"""What ``--on`` says: where the workers of a run are."""

from __future__ import annotations

import os
from dataclasses import dataclass

from convert.errors import UsageError

_PREFIX = "ray://"
_EXPECTED = (
    "'ray' (the cluster that RAY_ADDRESS names or that runs on this machine, or one started here), "
    "or 'ray://HOST:PORT'"
)


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
