"""The exchange between ranks over torch.distributed (gloo): processes on one machine or several."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError

Floats = NDArray[np.float32]

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others before it gives up."""


class GlooExchange:
    """One rank's end of the exchange.

    Args:
        rank: From 0.
        ranks: Number of them.
        store: A file that all ranks can reach and that does not exist yet; None takes what
            torchrun puts into the environment.

    Raises:
        RunnerCrashedError: The other ranks did not appear.
    """

    def __init__(self, rank: int, ranks: int, store: Path | None = None) -> None:
        from torch import distributed

        self._dist: Any = distributed
        self._ranks = ranks
        self.lost = False
        """Whether another rank ended or does not answer."""
        on_one_machine = store is not None or os.environ.get("LOCAL_WORLD_SIZE") == str(ranks)
        if on_one_machine and "GLOO_SOCKET_IFNAME" not in os.environ:
            # The machine's name need not resolve, and no other machine has a part in this.
            os.environ["GLOO_SOCKET_IFNAME"] = _loopback()
        place = (
            {"init_method": "env://"}
            if store is None
            else {"store": self._dist.FileStore(str(store), ranks)}
        )
        with self.noticing_loss():
            self._dist.init_process_group(
                "gloo", rank=rank, world_size=ranks, timeout=PATIENCE, **place
            )

    def all_reduce(self, values: Floats) -> None:
        """Replace ``values`` by their sum over the ranks, the same bits on each."""
        import torch

        with self.noticing_loss():
            self._dist.all_reduce(torch.from_numpy(values))

    def all_gather(self, part: Floats, lengths: Sequence[int]) -> list[Floats]:
        """The parts of all ranks, which have ``lengths[rank]`` rows."""
        import torch

        # Gloo gathers equal parts only.
        padded = torch.zeros((max(lengths), *part.shape[1:]))
        padded[: len(part)] = torch.from_numpy(part)
        whole = [torch.empty_like(padded) for _ in range(self._ranks)]
        with self.noticing_loss():
            self._dist.all_gather(whole, padded)
        return [one[:length].numpy() for one, length in zip(whole, lengths, strict=True)]

    @contextmanager
    def noticing_loss(self) -> Iterator[None]:
        """What torch raises within is the loss of another rank.

        Raises:
            RunnerCrashedError: Another rank is gone.
        """
        try:
            yield
        except (RuntimeError, ValueError) as error:
            self.lost = True
            raise RunnerCrashedError("another rank is gone", found=str(error)) from error

    def close(self) -> None:
        """Leave the group."""
        self._dist.destroy_process_group()


def _loopback() -> str:
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
