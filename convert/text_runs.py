"""What a run learns by running texts through the model: each thing when an artifact asks for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.recipe import NO_TEXT
from convert.workers import THIS_PROCESS, Workers
from passes.weighting import weightable_layers

if TYPE_CHECKING:
    import onnx_ir as ir

    from convert.balancing import Balanced, Encodings
    from convert.calibrated import Calibrated
    from convert.checkpoint import Checkpoint
    from convert.imatrix import GivenMoments
    from convert.inputs import Inputs
    from convert.manifest import SourceRecord
    from convert.preparation import Prepared
    from convert.progress import Reporter
    from convert.recipe import Recipe
    from convert.smoothing import Alphas
    from convert.weighting import ChosenWeighting
    from passes.awq import Awq
    from passes.calibration.observations import Observations
    from passes.smoothing.measuring import Measured
    from passes.weighting import Weighting
    from targets.base import Source


class TextRuns:
    """The texts of a run, and what they were found to do.

    Args:
        recipe: Names the text, or wants none.
        checkpoint: The model.
        source: The same as targets see it.
        inputs: Its files.
        out: Folder of the artifacts, where what was found is kept.
        reporter: Told of what is run.
        workers: Who runs batches of a text, where they can be run apart.
        restart: Begin anew what an interrupted run left.
    """

    def __init__(
        self,
        recipe: Recipe,
        checkpoint: Checkpoint,
        source: Source,
        inputs: Inputs,
        out: Path,
        reporter: Reporter,
        workers: Workers = THIS_PROCESS,
        *,
        restart: bool,
    ) -> None:
        self._recipe, self._checkpoint, self._source = recipe, checkpoint, source
        self._inputs, self._out, self._reporter = inputs, out, reporter
        self._restart, self._workers = restart, workers
        self.observe = cache(self._observe)
        self.weigh = cache(self._weigh)
        self.record = cache(self._record)
        self.measure = cache(self._measure)
        self.given = cache(self._given)

    def asked(self) -> dict[str, Any]:
        """What `convert.preparation.prepare` may ask for, by the names of its arguments."""
        return {
            "observe": self.observe,
            "weighting": self.weighting,
            "calibrate": self.calibrate,
            "measure": self.measure,
            "balance": self.balance,
        }

    def _record(self) -> SourceRecord:
        """Hashes of the checkpoint."""
        with self._reporter.stage("hash the checkpoint"):
            return self._inputs.record()

    def calibrate(self, method: str, model: ir.Model, divide: Awq | None = None) -> Calibrated:
        """The codes of a quantized graph, found by a calibrated method.

        Args:
            divide: What was done to the graph before it was quantized, if anything was.

        Raises:
            TricastError: See `convert.calibrated.find_codes`.
        """
        from convert.calibrated import find_codes

        return find_codes(
            method,
            model,
            self._checkpoint,
            self._source.config,
            self.record,
            self._out,
            text=self._recipe.calibrate,
            reporter=self._reporter,
            most_tokens=self._recipe.calibration_tokens,
            restart=self._restart,
            divide=divide,
        )

    def balance(self, encodings: Encodings) -> Balanced | None:
        """What AWQ divides inputs by; None where the recipe wants no text."""
        from convert.balancing import find_or_balance

        if self._recipe.calibrate == NO_TEXT:
            return None
        return find_or_balance(
            self._checkpoint,
            self._source.config,
            self.record().digest,
            self._out,
            encodings,
            text=self._text,
            reporter=self._reporter,
        )

    def weighting(self) -> Weighting | None:
        """What makes a quantized graph's scales wait for the moments of `weigh`, or weights them by
        the recipe's imatrix; None for none.
        """
        given = self.given()
        return self.weigh().weighting if given is None else given.weighting

    @property
    def _text(self) -> Path | None:
        file = self._recipe.calibration_file
        return Path(file) if file else None

    def _observe(self) -> Observations | None:
        """What calibration sees; None where the recipe wants none."""
        from convert.observing import find_or_observe

        if self._recipe.calibrate == NO_TEXT:
            return None
        return find_or_observe(
            self._checkpoint,
            self._source.config,
            self.record().digest,
            self._out,
            text=self._text,
            reporter=self._reporter,
            most_tokens=self._recipe.calibration_tokens,
            restart=self._restart,
            workers=self._workers,
        )

    def _measure(self, alphas: Alphas) -> Measured | None:
        """What the inputs of layers are; None where the recipe wants no text.

        Args:
            alphas: Of SmoothQuant, to choose from.
        """
        from convert.measuring import find_or_measure

        if self._recipe.calibrate == NO_TEXT:
            return None
        return find_or_measure(
            self._checkpoint,
            self._source.config,
            self.record().digest,
            self._out,
            alphas,
            text=self._text,
            reporter=self._reporter,
            most_tokens=self._recipe.calibration_tokens,
            workers=self._workers,
        )

    def _given(self) -> GivenMoments | None:
        """The recipe's imatrix, if it has one; tells the user."""
        if self._recipe.imatrix is None:
            return None
        from convert.imatrix import given_moments

        path = Path(self._recipe.imatrix)
        given = given_moments(path, self._checkpoint, self._source.config)
        self._reporter.say(given.line())
        return given

    def with_imatrix(self, prepared: Prepared) -> Prepared:
        """An artifact that says which imatrix its scales are weighted by, if they are."""
        given = self.given()
        if given is None or not any(weightable_layers(prepared.model)):
            return prepared
        return replace(prepared, imatrix=given.record)

    def _weigh(self) -> ChosenWeighting:
        """How scales are chosen; tells the user."""
        from convert.weighting import choose_weighting

        chosen = choose_weighting(
            self._recipe,
            self._checkpoint,
            self._source.config,
            self._inputs,
            self._out,
            restart=self._restart,
        )
        line = chosen.line()
        if line is not None:
            self._reporter.say(line)
        return chosen
