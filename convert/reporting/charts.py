"""The charts of a page; each is None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from convert.reporting import drawing
from convert.reporting.data import TransferData
from convert.reporting.drawing import AFTER, BAND, BEFORE, INK, LIMIT, MUTED, drawn, plain
from convert.reporting.tensors import ErrorMap, KindSize
from golden.details import PromptDetails

SHOWN_PROMPTS = 24
_BINS = 28
_SMALLEST = 1e-9
_MARGIN = 8
_LETTER = 6.6
"""Width of a letter in units of a drawing, about."""


def divergence_by_position(prompts: Sequence[PromptDetails], limit: float | None) -> Markup | None:
    """Mean KL over the prompts, and where the middle eight tenths lie, by tokens read."""
    bins = list(_bins(prompts))
    if not bins:
        return None
    x = [middle for middle, _ in bins]
    mean = [float(np.mean(values)) for _, values in bins]
    low, high = (
        [max(float(np.quantile(values, share)), _SMALLEST) for _, values in bins]
        for share in (0.1, 0.9)
    )

    def draw(axes: Any) -> None:
        axes.fill_between(x, low, high, color=BAND, linewidth=0, label="8 of 10 positions")
        axes.plot(x, [max(each, _SMALLEST) for each in mean], color=AFTER, label="mean")
        if limit:
            axes.axhline(limit, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"largest mean allowed {limit:g}", (1, limit), (-2, 4), color=LIMIT, ha="right",
                xycoords=("axes fraction", "data"), textcoords="offset points",
            )  # fmt: skip
        axes.set_yscale("log")
        _powers(axes, min(low), max([*high, limit or 0]))
        axes.set_xlim(0, max(x) + 1)
        axes.set_xlabel("tokens read")
        axes.set_ylabel("KL divergence, nats")
        axes.legend(loc="lower right", ncols=2, handlelength=1.2, borderpad=0)
        _fit(axes, left=62)

    label = (
        f"Line chart of mean KL divergence by tokens read: {mean[0]:.2g} nats at the first "
        f"positions, {mean[-1]:.2g} at the last, {max(mean):.2g} at most."
    )
    return drawn("position", label, 250, draw)


def divergence_by_prompt(prompts: Sequence[PromptDetails], limit: float | None) -> Markup | None:
    """A bar of the mean KL of each prompt, those that differ most if there are many."""
    means = [(number, _known(each)) for number, each in enumerate(prompts, 1)]
    found = [(number, float(values.mean())) for number, values in means if values.size]
    if not found:
        return None
    shown = sorted(sorted(found, key=lambda pair: -pair[1])[:SHOWN_PROMPTS])
    names, values = [f"prompt {number}" for number, _ in shown], [mean for _, mean in shown]

    def draw(axes: Any) -> None:
        places = range(len(values), 0, -1)
        axes.barh(places, values, height=0.62, color=AFTER)
        if limit and limit <= 3 * max(values):
            axes.axvline(limit, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
        _at_the_ends(axes, places, values, [f"{value:.3g}" for value in values])
        axes.set_yticks(places, names)
        axes.set_xlabel("mean KL divergence, nats")
        _horizontal(axes, left=74)

    worst = max(shown, key=lambda pair: pair[1])
    label = f"Bar chart of mean KL divergence: prompt {worst[0]} has most, {worst[1]:.3g} nats."
    return drawn("prompts", label, 70 + 22 * len(values), draw)


def error_heat_map(errors: ErrorMap | None) -> Markup | None:
    """Layers downwards, kinds of tensors sideways, the relative error as colour."""
    if errors is None:
        return None
    table = np.array(errors.values, np.float64).T
    names = [plain(kind, 22) for kind in errors.kinds]
    rows = len(errors.layers)
    top = 14 + _LETTER * 0.75 * max(map(len, names))
    step = min(22.0, max(7.0, 640 / rows))

    def draw(axes: Any) -> None:
        from matplotlib.colors import BoundaryNorm, ListedColormap
        from matplotlib.ticker import MaxNLocator

        known = table[np.isfinite(table)]
        edges = MaxNLocator(drawing.HEAT_LEVELS, steps=[1, 2, 2.5, 5, 10]).tick_values(
            known.min(), known.max() + 1e-12
        )
        edges = edges[-drawing.HEAT_LEVELS - 1 :]
        colours = [drawing.HEAT[round(place)] for place in _spread(len(edges) - 1)]
        norm = BoundaryNorm(edges, len(edges) - 1)
        cells = axes.pcolormesh(
            np.ma.masked_invalid(table), cmap=ListedColormap(colours), norm=norm,
            edgecolors="none", linewidth=0,
        )  # fmt: skip
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.xaxis.tick_top()
        axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=50, ha="left", va="baseline")
        shown = range(0, rows, max(1, round(16 / step)))
        axes.set_yticks([at + 0.5 for at in shown], [str(errors.layers[at]) for at in shown])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel("layer")
        _fit(axes, left=46, right=60, top=top, bottom=50)
        bar = axes.figure.colorbar(
            cells, cax=axes.inset_axes((0, -18 / (step * rows), 1, 10 / (step * rows))),
            orientation="horizontal", spacing="uniform",
        )  # fmt: skip
        bar.set_ticks(edges, labels=[f"{100 * edge:.3g}" for edge in edges])
        bar.set_label("error of the stored values, % of their size")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)

    at = np.unravel_index(np.nanargmax(table), table.shape)
    label = (
        f"Heat map of the error of stored weights by layer and tensor; largest in layer "
        f"{errors.layers[at[0]]}, {names[at[1]]}: {table[at]:.2%}."
    )
    return drawn("errors", label, top + 50 + step * rows, draw)


def size_by_kind(sizes: Sequence[KindSize]) -> Markup | None:
    """A pair of bars for each kind of tensor: in the checkpoint, in the artifact."""
    if not sizes:
        return None
    unit, name = _unit(max(max(one.before or 0, one.after) for one in sizes))
    names = [plain(one.kind, 22) for one in sizes]

    def draw(axes: Any) -> None:
        places = np.arange(len(sizes), 0, -1)
        before = [(one.before or 0) / unit for one in sizes]
        after = [one.after / unit for one in sizes]
        if any(before):
            axes.barh(places + 0.2, before, height=0.34, color=BEFORE, label="checkpoint")
        axes.barh(places - 0.2, after, height=0.34, color=AFTER, label="artifact")
        axes.set_yticks(places, names)
        axes.set_xlabel(name)
        axes.set_ylim(0.4, len(sizes) + 0.6)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=1.2, borderpad=0.2
        )
        _horizontal(axes, left=16 + _LETTER * max(map(len, names)), top=28)

    total = sum(one.after for one in sizes) / unit
    label = f"Bar chart of {name} by kind of tensor, {total:.3g} in the artifact altogether."
    return drawn("sizes", label, 86 + 28 * len(sizes), draw)


def bytes_over_time(transfer: TransferData | None) -> Markup | None:
    """Bytes of the checkpoint that were on their way to disk, by seconds."""
    if transfer is None or len(transfer.points) < 2:
        return None
    unit, name = _unit(max(transfer.total, transfer.points[-1][1]))
    points = ((0.0, 0), *transfer.points)
    x, y = [seconds for seconds, _ in points], [done / unit for _, done in points]

    def draw(axes: Any) -> None:
        axes.fill_between(x, 0, y, color=BAND, linewidth=0)
        axes.plot(x, y, color=AFTER)
        axes.set_xlim(0, x[-1] or 1)
        axes.set_ylim(0, 1.08 * max(y) or 1)
        axes.set_xlabel("seconds")
        axes.set_ylabel(f"{name} converted")
        _fit(axes, left=62)

    label = f"Line chart of {name} converted over time: {y[-1]:.3g} in {x[-1]:.3g} seconds."
    return drawn("transfer", label, 220, draw)


def speed_beside_bound(measured: float, bound: float) -> Markup:
    """Two bars: tokens a second as measured, and as memory bandwidth allows."""

    def draw(axes: Any) -> None:
        values = [measured, bound]
        axes.barh([2, 1], values, height=0.6, color=[AFTER, BEFORE])
        _at_the_ends(axes, [2, 1], values, [f"{value:.3g}" for value in values])
        axes.set_yticks([2, 1], ["measured", "at most"])
        axes.set_xlabel("tokens a second")
        _horizontal(axes, left=70)

    label = f"Bar chart: {measured:.3g} tokens a second measured, {bound:.3g} at most."
    return drawn("decode", label, 116, draw)


def _bins(prompts: Sequence[PromptDetails]) -> Iterator[tuple[float, list[float]]]:
    """Neighbouring positions and the divergences there."""
    longest = max((len(each.kld) for each in prompts), default=0)
    width = max(1, -(-longest // _BINS))
    for start in range(0, longest, width):
        there = (each.kld[start : start + width] for each in prompts)
        values = [value for part in there for value in part if value is not None]
        if values:
            yield start + (min(width, longest - start) + 1) / 2, values


def _known(prompt: PromptDetails) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([value for value in prompt.kld if value is not None], np.float64)


def _powers(axes: Any, low: float, high: float) -> None:
    """Ticks at powers of ten, few of them."""
    first, last = int(np.floor(np.log10(max(low, _SMALLEST)))), int(np.ceil(np.log10(high)))
    first = min(first, last - 1)
    step = -(-(last - first) // 5)
    ticks = range(last, first - 1, -step)
    axes.set_ylim(10.0**first, 10.0**last)
    axes.set_yticks([10.0**tick for tick in ticks], [f"{10.0**tick:g}" for tick in ticks])
    axes.minorticks_off()


def _at_the_ends(
    axes: Any, places: Sequence[int] | range, values: Sequence[float], texts: Sequence[str]
) -> None:
    for at, value, text in zip(places, values, texts, strict=True):
        axes.annotate(text, (value, at), (4, 0), textcoords="offset points", va="center", color=INK)
    axes.set_xlim(0, 1.2 * max(values) or 1)


def _horizontal(axes: Any, left: float, top: float = _MARGIN) -> None:
    """Bars that lie: no lines but upright ones."""
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_color(MUTED)
    axes.xaxis.set_major_locator(_few_ticks())
    _fit(axes, left=left, top=top)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _fit(
    axes: Any, *, left: float, right: float = 14, top: float = _MARGIN, bottom: float = 42
) -> None:
    """Margins in units: to have them computed takes longer than all the rest."""
    width, height = (72 * inches for inches in axes.figure.get_size_inches())
    axes.figure.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height
    )


def _spread(count: int) -> list[float]:
    """As many levels, from the first to the last."""
    return list(np.linspace(0, drawing.HEAT_LEVELS - 1, count))


def _unit(largest: float) -> tuple[float, str]:
    for factor, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if largest >= 2 * factor:
            return factor, name
    return 1e3, "kB"
