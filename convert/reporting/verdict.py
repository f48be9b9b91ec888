"""The gate on a page: each figure beside its threshold, and what became of the artifact."""

from __future__ import annotations

from dataclasses import dataclass

from convert.manifest import Manifest
from convert.outcomes import gate_checks, weight_check
from convert.reporting.data import ReportData
from golden.result import Check, GateResult

PASSED, FAILED, UNCHECKED = "passed", "failed", "not checked"
_RATIO = "perplexity ratio"


@dataclass(frozen=True)
class Row:
    """A check.

    Args:
        name: What is measured.
        state: ``passed``, ``failed`` or ``not checked``.
        value: The figure; None where there is none.
        limit: Its threshold; None where there is none.
        bound: ``at most`` or ``at least``.
        used: How much of what is allowed is used up, from 0 to 1; None where that means nothing.
        said: A sentence.
    """

    name: str
    state: str
    value: float | None
    limit: float | None
    bound: str
    used: float | None
    said: str


def state(manifest: Manifest, data: ReportData | None) -> str:
    """What became of the artifact."""
    if data is not None and data.failures:
        return FAILED
    return PASSED if manifest.gate.status == "passed" else UNCHECKED


def result_of(manifest: Manifest) -> GateResult | None:
    """What the gate found, by the manifest."""
    return None if manifest.gate.result is None else GateResult.from_json(manifest.gate.result)


def rows(manifest: Manifest, result: GateResult | None) -> tuple[Row, ...]:
    """Every check of the gate, that of the stored weights included."""
    if result is None:
        return ()
    worst, error = manifest.gate.worst_tensor, manifest.gate.weight_error
    more = []
    if worst is not None and error is not None:
        more.append(weight_check(worst, error, result.thresholds.weight_error))
    return tuple(_row(check) for check in gate_checks(result, more))


def _row(check: Check) -> Row:
    judged = PASSED if check.holds else FAILED
    at_least = _is_lower_bound(check)
    return Row(
        name=check.name,
        state=judged if check.applies else UNCHECKED,
        value=check.value,
        limit=check.limit,
        bound="at least" if at_least else "at most",
        used=_used(check, at_least=at_least),
        said=check.said,
    )


def _is_lower_bound(check: Check) -> bool:
    if check.value is None or check.limit is None:
        return False
    return check.value > check.limit if check.holds else check.value < check.limit


def _used(check: Check, *, at_least: bool) -> float | None:
    """Of what may be as much as 1, what lacks of it counts; of a ratio, what it has above 1."""
    value, limit = check.value, check.limit
    if value is None or not limit:
        return None
    if at_least:
        share = (1 - value) / (1 - limit) if limit < 1 else 0.0
    elif check.name == _RATIO and limit > 1:
        share = (value - 1) / (limit - 1)
    else:
        share = value / limit
    return min(1.0, max(0.0, share))
