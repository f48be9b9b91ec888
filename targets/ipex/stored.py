"""Reads a checkpoint for PyTorch on Xeon back as float32, by readers that are not our encoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from targets.ipex.unpack import Floats, weights
from targets.shards import Shards

_GPTQ_PARTS = ("qweight", "qzeros", "scales", "g_idx")
_SCALE = "weight_scale"


def stored_weights(artifact: Path) -> Iterator[tuple[str, Floats]]:
    """Every parameter of the checkpoint in ``artifact``, a tensor at a time.

    Yields:
        Name and values, shaped as in the checkpoint that it was made of.

    Raises:
        KeyError: A tensor of a GPTQ layer is not there.
    """
    with ExitStack() as opened:
        shards = Shards(artifact, opened)
        for name in shards.names:
            module, _, last = name.rpartition(".")
            if last == _GPTQ_PARTS[0]:
                yield (
                    f"{module}.weight",
                    weights(*(shards.tensor(f"{module}.{part}") for part in _GPTQ_PARTS)),
                )
            elif last not in (*_GPTQ_PARTS, _SCALE):
                yield name, shards.decoded(name)
