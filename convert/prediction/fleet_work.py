"""What a conversion asks of a fleet, whatever the fleet: bytes, processor time, a text's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convert.calibration_cost import Matrix, TextRun
from convert.planned_artifact import ArtifactPlan
from convert.planner import Planner
from convert.prediction.conversion import (
    PASSAGE_NANOSECONDS,
    encoding_seconds,
    output_bytes,
)
from convert.prediction.rates import REFERENCE_CONVERSIONS
from convert.weighting import SAMPLE_TOKENS

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class TextPath:
    """A text whose products the workers compute, and the driver what lies between them.

    Args:
        tokens: Of the text.
        matrices: It is multiplied with them one after the other; how many are alike.
        between: Seconds of the driver for everything else.
        share: Of the tokens, that come to an expert.
    """

    tokens: int
    matrices: Mapping[Matrix, int]
    between: float
    share: float = 1

    def seconds(self, cores: int, reading: float, task: float) -> float:
        """From the first matrix to the last: each waits for the one before.

        Args:
            cores: Of all workers; a chunk of a matrix takes one.
            reading: Seconds to read a chunk.
            task: Seconds to hand out a task and to take back what came of it.
        """
        total = self.between
        for matrix, count in self.matrices.items():
            rounds = -(-matrix.chunks // cores)
            weights = matrix.rows * matrix.columns / matrix.chunks
            multiplied = weights * PASSAGE_NANOSECONDS * 1e-9 * self._tokens(matrix) / SAMPLE_TOKENS
            total += count * (task + rounds * (reading + multiplied))
        return total

    @property
    def inputs(self) -> float:
        """Bytes that go into all matrices."""
        return self._bytes({each: each.columns for each in self.matrices})

    @property
    def outputs(self) -> float:
        """Bytes that come out of all of them."""
        return self._bytes({each: each.rows for each in self.matrices})

    def _bytes(self, features: Mapping[Matrix, int]) -> float:
        return sum(
            _FLOAT_BYTES * self.matrices[each] * self._tokens(each) * features[each]
            for each in self.matrices
        )

    def _tokens(self, matrix: Matrix) -> float:
        return self.tokens * (self.share if matrix.expert else 1)


@dataclass(frozen=True)
class FleetWork:
    """A conversion of a checkpoint into artifacts.

    Args:
        source: Bytes of the weights.
        artifacts: Bytes of each artifact.
        encoding: Seconds of one core to encode everything.
        chunks: How many there are, each of them a task.
        text: What weights the scales on the way; None if nothing has to.
        not_estimated: Work that comes on top.
    """

    source: int
    artifacts: tuple[int, ...]
    encoding: float
    chunks: int
    text: TextPath | None
    not_estimated: tuple[str, ...] = ()

    @property
    def made(self) -> int:
        """Bytes of all artifacts."""
        return sum(self.artifacts)


def fleet_work(planner: Planner, artifacts: Sequence[ArtifactPlan]) -> FleetWork:
    """What making these artifacts asks of a fleet.

    Args:
        planner: Of the model.
        artifacts: With their encodings and text runs.
    """
    runs = tuple(dict.fromkeys(run for one in artifacts for run in one.text_runs))
    beside = next((run for run in runs if not run.own_read), None)
    return FleetWork(
        source=planner.source_bytes,
        artifacts=tuple(map(output_bytes, artifacts)),
        encoding=sum(map(encoding_seconds, artifacts)),
        chunks=planner.chunks,
        text=_text(planner, beside) if beside else None,
        not_estimated=tuple(
            text for run in runs if run.own_read for text in (f"to {run.purpose}", run.more) if text
        ),
    )


def _text(planner: Planner, run: TextRun) -> TextPath:
    experts = planner.config.experts
    share = experts.used / experts.count if experts else 1
    between = run.touched / REFERENCE_CONVERSIONS
    return TextPath(run.tokens, planner.met.matrices, between, share)
