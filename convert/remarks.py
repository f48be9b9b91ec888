"""What a user should know of a finished artifact, beyond that it passed."""

from __future__ import annotations

from collections.abc import Iterator

from convert.fallback_lines import fallback_lines
from convert.manifest import WeightingRecord
from convert.preparation import Prepared
from passes.quantize import coverage


def remarks(item: Prepared, weighting: WeightingRecord | None) -> Iterator[str]:
    """Each in a line: what scales were weighted with, notes, and what is not stored as asked.

    Args:
        item: The artifact.
        weighting: Of its scales by a text, if there was one.
    """
    seen = weighting or item.imatrix
    if seen is not None:
        yield f"scales weighted by {seen.tokens} tokens"
    covered = weighting.experts.line() if weighting and weighting.experts else None
    if covered is not None:
        yield covered
    for note in item.layout.notes:
        yield f"note: {note}"
    for line in fallback_lines(coverage(item.model)):
        yield f"not as asked: {line}"
