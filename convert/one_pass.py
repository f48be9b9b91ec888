"""A short text that runs through the model as the stream reads it, so that scales suit its layers.

The second moments of a layer's inputs are known when the text arrives at it, just before its
weight is read: so one read serves both. Of a whole run they are kept beside the artifacts; of a
run that is killed, how far it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir

from convert.calibration_text import CalibrationText
from convert.errors import BrokenInputError
from convert.inputs import changed_input
from convert.manifest import ExpertCoverage, WeightingRecord
from convert.moments import Moments, rounded
from convert.moments_file import KeptMoments, load, moments_digest, save
from convert.stream import Calibration, PassWeight
from convert.weights import Floats, Weight
from passes.calibration.blas import one_thread_each
from passes.calibration.expert_layers import PRIOR_TOKENS, ExpertMoments
from passes.calibration.observations import tokens_digest
from passes.calibration.observers import SecondMoments
from passes.calibration.reading import Take
from passes.calibration.snapshots import Snapshots, identity_of
from passes.calibration.steps import Plan, Step, plan
from passes.calibration.stored_execution import StoredExecution
from passes.encodings.weighting import WeightableEncoding
from targets.base import WriteJob

FORM = 2
"""Raised when the same checkpoint and tokens would give other moments."""


class OnePass(Calibration):
    """One run of a text, and the moments that come of it.

    Args:
        model: The float graph of an architecture, without a cache.
        text: What it reads.
        path: Where the moments are kept once they are complete. Its name is the same exactly if
            they would be.

    Raises:
        UnsupportedError: The graph cannot be run.
    """

    def __init__(self, model: ir.Model, text: CalibrationText, path: Path) -> None:
        self._text = text
        self._path = path
        self._observer = SecondMoments()
        self._execution = StoredExecution(model, text.sequences, (self._observer,))
        self._snapshots = Snapshots(
            path.with_name(f".{path.stem}.snapshot"),
            identity_of(model, path.name, text.sequences, "weights first"),
        )
        self._plan = plan(model, logits=False)
        self._experts = ExpertMoments(model)
        self._weights = {weight.name: weight for weight in self._plan.weights}
        self._known = _places_of_inputs(self._plan)
        self._multiplied = {weight.identity for weight in self._weights.values()}
        self._expected = Counter(weight.identity for weight in self._plan.weights)
        self._moments = Moments()
        self._found: dict[str, Floats] = {}
        self._kept = load(path, {name: _features(each) for name, each in self._weights.items()})
        for name, moments in self._kept.moments.items() if self._kept else ():
            self._put(self._weights[name], moments)
            self._expected.clear()

    @property
    def tokens(self) -> int:
        """How many the text has."""
        return sum(map(len, self._text.sequences))

    @property
    def identity(self) -> Mapping[str, str | int]:
        """What decides the moments, besides the model."""
        return {"form": FORM, "tokens": tokens_digest(self._text.sequences)}

    @property
    def found_at(self) -> Path | None:
        """The file of an earlier run that makes running the text unnecessary."""
        return self._path if self._kept else None

    def record(self) -> WeightingRecord:
        """What the manifest says of a finished run."""
        return WeightingRecord(
            text_sha256=self._text.sha256,
            tokens=self.tokens,
            moments_sha256=moments_digest(self._found),
            experts=self._coverage(),
        )

    def _coverage(self) -> ExpertCoverage | None:
        """How many tokens the experts have seen, if there are any."""
        if not self._experts.experts:
            return None
        kept = self._kept.visits if self._kept else None
        visits = self._experts.visits(self._observer) if kept is None else kept
        few = {name: count for name, count in visits.items() if count < PRIOR_TOKENS}
        return ExpertCoverage(experts=len(visits), threshold=PRIOR_TOKENS, few=few)

    def knows(self, weight: Weight) -> bool:
        """Whether the moments of a weight's inputs are known when the text has run."""
        return self._known.of(weight) is not None

    def multiplies(self, weight: Weight) -> bool:
        return weight.identity in self._multiplied

    def is_expected(self, weight: Weight) -> bool:
        return self._expected[weight.identity] > 0

    def bind(self, job: WriteJob) -> WriteJob | None:
        encoding = job.encoding
        if not isinstance(encoding, WeightableEncoding) or not encoding.awaits_moments:
            return job
        moments = self._moments.of(job.weight)
        return None if moments is None else replace(job, encoding=encoding.weighted(moments))

    def run(self, pass_weight: PassWeight) -> None:
        if self._kept is not None:
            return
        self._go_on()
        rest = partial(self._snapshots.offer, self._execution.state)
        try:
            with one_thread_each(), np.errstate(all="ignore"):  # it says itself what is wrong
                self._execution.run_ahead(partial(self._feed, pass_weight), rest)
        except BrokenInputError:
            self.forget()  # another run would only meet it again
            raise

    def forget(self) -> None:
        """Forget how far an earlier run came."""
        self._snapshots.remove()

    def keep(self, digest: str) -> None:
        """Keep the moments, now that it is certain what they are of.

        Args:
            digest: Of the whole checkpoint.

        Raises:
            ChangedInputError: Moments that an earlier run kept are of another checkpoint.
        """
        if self._kept is None:
            visits = self._experts.visits(self._observer)
            save(self._path, KeptMoments(self._found, digest, visits))
            self.forget()
        elif self._kept.digest != digest:
            self._path.unlink(missing_ok=True)
            raise changed_input(f"{self._path.name} is of a checkpoint {self._kept.digest}")

    def _go_on(self) -> None:
        """Go on where an earlier run was killed, if one was."""
        stored = self._snapshots.load()
        if stored is not None:
            self._execution.resume(stored)
            for weight in self._plan.weights_of(0, self._execution.done):
                self._arrive(weight)

    def _feed(self, pass_weight: PassWeight, step: Step, take: Take) -> Callable[[], None]:
        assert step.weight is not None
        self._arrive(step.weight)
        return pass_weight(step.weight, take if step.computes else None)

    def _arrive(self, weight: Weight) -> None:
        """The text is at a weight: what goes into it is known."""
        self._put(weight, rounded(self._experts.of(weight.name, self._observer)))
        self._expected[weight.identity] -= 1

    def _put(self, weight: Weight, moments: Floats) -> None:
        self._found[weight.name] = moments
        self._moments.put(weight, moments)


def _features(weight: Weight) -> int:
    """Inputs of a linear layer, or channels of a convolution."""
    return weight.shape[1]


def _places_of_inputs(run: Plan) -> Moments:
    """In the place of moments, a number for what goes into each weight."""
    numbers: dict[ir.Value, int] = {}
    places = Moments()
    for step in run.steps:
        if step.weight is not None:
            number = numbers.setdefault(step.inputs[0], len(numbers))
            places.put(step.weight, np.full(_features(step.weight), number, np.float32))
    return places
