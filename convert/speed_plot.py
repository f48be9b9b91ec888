"""Speeds as a picture: first token, next token and throughput, a line for each size of batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convert.benching import Speed
from convert.errors import UsageError

_FORMATS = (".png", ".svg")
_PANELS: tuple[tuple[str, str, str | None], ...] = (
    ("first token, ms", "first_ms", "first_p90_ms"),
    ("next token, ms", "next_ms", "next_p90_ms"),
    ("tokens/s, all sequences", "tokens_per_second", None),
)


def plotter(path: Path) -> Callable[[str, Sequence[Speed]], None]:
    """What draws speeds, by their title, into ``path``; fails now where it would fail later.

    Raises:
        UsageError: The file is neither .png nor .svg, its folder is not there, or matplotlib
            is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"cannot draw {path.name}", expected=f"a file of {' or '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for the plot")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "plots are drawn by matplotlib, which is not installed",
            remedy='pip install "tricast[plot]"',
        ) from error

    def draw(title: str, speeds: Sequence[Speed]) -> None:
        # The same figures give the same bytes: neither random names nor the date.
        with matplotlib.rc_context({"svg.hashsalt": "tricast", "svg.fonttype": "none"}):
            figure = Figure(figsize=(13, 4.2), layout="constrained")
            _draw(figure, title, speeds)
            metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
            figure.savefig(path, dpi=120, metadata=metadata)

    return draw


def _draw(figure: Any, title: str, speeds: Sequence[Speed]) -> None:
    by_batch = len({speed.prompt_tokens for speed in speeds}) == 1
    along, series = ("batch", "prompt_tokens") if by_batch else ("prompt_tokens", "batch")
    names = {"batch": "sequences at once", "prompt_tokens": "prompt, tokens"}
    labels = {"batch": "batch {}", "prompt_tokens": "prompts of {} tokens"}
    figure.suptitle(f"{title}: median, and p90 shaded")
    for axes, (name, figure_of, worst) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        for value in sorted({getattr(speed, series) for speed in speeds}):
            line = sorted(
                (speed for speed in speeds if getattr(speed, series) == value),
                key=lambda speed: int(getattr(speed, along)),
            )
            x = [getattr(speed, along) for speed in line]
            y = [getattr(speed, figure_of) for speed in line]
            (drawn,) = axes.plot(x, y, marker="o", label=labels[series].format(value))
            if worst is not None:
                top = [getattr(speed, worst) for speed in line]
                axes.fill_between(x, y, top, alpha=0.2, color=drawn.get_color(), linewidth=0)
        axes.set_xlabel(names[along])
        axes.set_ylabel(name)
        axes.set_xticks(sorted({getattr(speed, along) for speed in speeds}))
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
