"""What driver and workers must have in common, or the bytes could differ."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from convert.errors import UnavailableWorkersError
from convert.versions import installed_versions
from passes.calibration import blas
from passes.calibration.processor import has_matrix_tiles


@dataclass(frozen=True)
class Agreement:
    """What a process computes with.

    Args:
        versions: Of the packages that decide bytes, by name.
        arithmetic: How matrices are multiplied here, which decides the last bits; see
            `passes.calibration.blas.arithmetic`.
    """

    versions: Mapping[str, str]
    arithmetic: str

    def require_versions(self) -> None:
        """Refuse to work here with other packages.

        Raises:
            UnavailableWorkersError: One is of another version.
        """
        own = of_this_process().versions
        names = sorted(own.keys() | self.versions.keys())
        differing = [name for name in names if own.get(name) != self.versions.get(name)]
        if differing:
            raise UnavailableWorkersError(
                f"a worker on {socket.gethostname()} has other packages than the driver",
                expected=", ".join(f"{name} {self.versions.get(name)}" for name in differing),
                found=", ".join(f"{name} {own.get(name)}" for name in differing),
                remedy="install the same versions on all machines, for instance by one image",
            )

    def require_arithmetic(self) -> None:
        """Refuse to multiply matrices here with other kernels.

        Raises:
            UnavailableWorkersError: The last bits of a product could differ.
        """
        own = of_this_process().arithmetic
        if own != self.arithmetic:
            raise UnavailableWorkersError(
                f"the processor of {socket.gethostname()} multiplies otherwise than the driver's, "
                "and the scales of an artifact would follow from who multiplied what",
                expected=self.arithmetic,
                found=own,
                remedy="use machines of one kind, the driver's too; or leave the text out with "
                "--calibrate none",
            )


@cache
def of_this_process() -> Agreement:
    """What this process computes with."""
    tiles = "tiles" if has_matrix_tiles() else "no tiles"
    return Agreement(installed_versions(), f"{platform.machine()} {blas.arithmetic()}, {tiles}")
