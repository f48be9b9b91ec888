"""Scales weighted by a llama.cpp imatrix instead of by a text that runs with the stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.architectures.base import DecoderConfig
from convert.checkpoint import Checkpoint
from convert.errors import BrokenInputError
from convert.hashing import hash_file
from convert.manifest import ImatrixRecord
from convert.moments import Moments
from passes.weighting import Weighting


@dataclass(frozen=True)
class GivenMoments:
    """What an imatrix file comes to.

    Args:
        weighting: Binds the encodings of a quantized graph to it.
        moments: Mean squares of the inputs of linear layers.
        record: For the manifest.
        layers: How many linear layers it knows.
    """

    weighting: Weighting
    moments: Moments
    record: ImatrixRecord
    layers: int

    def line(self) -> str:
        """What there is to tell a user."""
        return f"scales are weighted by {self.record.file}, which knows {self.layers} layers"


def given_moments(path: Path, checkpoint: Checkpoint, config: DecoderConfig) -> GivenMoments:
    """Read an imatrix for a checkpoint.

    Raises:
        MissingFileError: There is no such file.
        UnsupportedError: It is no imatrix, or in llama.cpp's old form.
        BrokenInputError: It is damaged, or of another model.
    """
    from targets.gguf.imatrix import read_imatrix

    found = read_imatrix(path, config, checkpoint.weights)
    moments = Moments()
    for name, values in found.moments.items():
        weight = checkpoint.weights[name]
        if values.size != weight.shape[-1]:
            raise BrokenInputError(
                f"{path} is an imatrix of another model",
                expected=f"{weight.shape[-1]} inputs of {name}",
                found=str(values.size),
                remedy="make one of this very model",
            )
        moments.put(weight, values)
    record = ImatrixRecord(
        file=path.name,
        sha256=hash_file(path.parent, path).sha256,
        tokens=found.tokens,
        datasets=found.datasets,
    )
    return GivenMoments(Weighting.by(moments.of), moments, record, len(found.moments))
