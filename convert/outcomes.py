"""The outcome of checking one artifact: every check beside its threshold, for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from golden.result import Check, GateResult, at_most

if TYPE_CHECKING:
    from convert.manifest import Manifest

STORED_WEIGHTS, FILES, TOKENIZER_THERE = "stored weights", "files", "tokenizer is there"


@dataclass(frozen=True)
class Outcome:
    """What was found of one artifact.

    Args:
        artifact: Its name.
        checks: In the order in which they are made.
        seconds: That the checks took.
        nbytes: Of the artifact's files, if that is known.
        error: Why there are no figures: its runtime died, its manifest is broken.
        skipped: Why it was not checked, if it was not.
    """

    artifact: str
    checks: tuple[Check, ...] = ()
    seconds: float = 0.0
    nbytes: int | None = None
    error: str | None = None
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the artifact; one that was not checked has not passed."""
        return not (self.error or self.skipped) and all(check.holds for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each thing that speaks against it."""
        said = tuple(check.said for check in self.checks if not check.holds)
        return (*said, self.error) if self.error else said


def gate_checks(result: GateResult, more: Iterable[Check] = ()) -> tuple[Check, ...]:
    """The checks of a gate, with more of them. What the gate itself found wrong stays so, even
    where a figure, rounded for the report, says otherwise.
    """
    found = result.checks()
    told = {check.said for check in found}
    untold = tuple(
        Check("gate", False, failure) for failure in result.failures if failure not in told
    )
    return (*found, *untold, *more)


def weight_check(name: str, relative_rms: float, limit: float) -> Check:
    """The stored tensor that differs most beside the threshold."""
    check = at_most(STORED_WEIGHTS, relative_rms, limit)
    return Check(STORED_WEIGHTS, check.holds, f"{name}: {check.said}", check.value, limit)


def recorded_outcome(manifest: Manifest) -> Outcome:
    """What a finished artifact's manifest says of its gate."""
    nbytes = sum(file.size for file in manifest.files)
    if manifest.gate.result is None:
        return Outcome(manifest.artifact, nbytes=nbytes, skipped=NOT_GATED)
    result = GateResult.from_json(manifest.gate.result)
    return Outcome(manifest.artifact, gate_checks(result), nbytes=nbytes)


NOT_GATED = "the gate was not run"
