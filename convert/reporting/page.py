"""Puts a page together: the figures, the charts where matplotlib is there, the template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from convert.manifest import Manifest
from convert.reporting import charts, tensors, verdict, wording
from convert.reporting.data import ReportData, TransferData
from convert.reporting.prompts import HEAT_STEPS, prompts
from golden.result import GateResult

_FOLDER = Path(__file__).parent
_WORST_TENSORS = 10
_OPEN_COVERAGE = 40
"""Tables of so many tensors are shown at once; longer ones are folded."""

Drawing = Callable[[], Markup | None]


def warm_up() -> None:
    """Import what draws, which takes a second."""
    with suppress(ImportError):
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401


def page(manifest: Manifest, data: ReportData | None) -> str:
    """The whole page as HTML; equal arguments give equal text.

    Args:
        manifest: Of the artifact; of one that was refused, what it would be.
        data: What else is known.
    """
    return _environment().get_template("page.html").render(_context(manifest, data))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=wording.harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": wording.readable_bytes,
        "figure": wording.figure,
        "percent": wording.percent,
        "seconds": wording.seconds,
    }
    return environment


def _context(manifest: Manifest, data: ReportData | None) -> Mapping[str, Any]:
    result = verdict.result_of(manifest)
    known = {} if data is None else data.tensors
    sizes = tensors.sizes(manifest.tensors, known)
    details = data.details if data else None
    before = [one.before for one in sizes]
    transfer = _conversion(data)
    drawn, missing = _drawn(_drawings(manifest, data, result))
    return {
        "manifest": manifest,
        "data": data,
        "style": Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        "state": verdict.state(manifest, data),
        "result": result,
        "rows": verdict.rows(manifest, result),
        "charts": drawn,
        "charts_missing": missing,
        "details": details,
        "prompts": prompts(details),
        "heat_steps": HEAT_STEPS,
        "sizes": sizes,
        "before": sum(size or 0 for size in before) if before and None not in before else None,
        "after": sum(one.after for one in sizes),
        "files": sum(file.size for file in manifest.files),
        "worst": tensors.worst(manifest.tensors, known, _WORST_TENSORS),
        "fallbacks": [one for one in manifest.tensors if one.fallback],
        "errors": {name: one.error for name, one in known.items()},
        "open_coverage": len(manifest.tensors) <= _OPEN_COVERAGE,
        "transfer": transfer,
        "rate": transfer.total / transfer.points[-1][0] if transfer else None,
        "recipe": json.dumps(
            manifest.recipe.model_dump(mode="json", exclude_defaults=True), indent=1
        ),
    }


def _conversion(data: ReportData | None) -> TransferData | None:
    """The longest transfer."""
    found = [one for one in data.transfers if one.points and one.points[-1][0]] if data else []
    return max(found, key=lambda one: one.points[-1][0], default=None)


def _drawings(
    manifest: Manifest, data: ReportData | None, result: GateResult | None
) -> Mapping[str, Drawing]:
    if data is None:
        return {"sizes": partial(charts.size_by_kind, tensors.sizes(manifest.tensors, {}))}
    seen = data.details.prompts if data.details else ()
    limit = result.thresholds.mean_kld if result else None
    drawings: dict[str, Drawing] = {
        "positions": partial(charts.divergence_by_position, seen, limit),
        "prompts": partial(charts.divergence_by_prompt, seen, limit),
        "errors": partial(charts.error_heat_map, tensors.error_map(manifest.tensors, data.tensors)),
        "sizes": partial(charts.size_by_kind, tensors.sizes(manifest.tensors, data.tensors)),
        "transfer": partial(charts.bytes_over_time, _conversion(data)),
    }
    if data.details and data.details.decode_ms and data.roofline:
        drawings["decode"] = partial(
            charts.speed_beside_bound,
            1e3 / data.details.decode_ms,
            1e3 / data.roofline.bound_ms,
        )
    return drawings


def _drawn(drawings: Mapping[str, Drawing]) -> tuple[Mapping[str, Markup | None], str | None]:
    """The charts by name, and why there are none, if so. Tables say the same without them."""
    try:
        return {name: draw() for name, draw in drawings.items()}, None
    except ImportError:
        return {}, 'matplotlib is not installed: pip install "tricast[plot]"'
