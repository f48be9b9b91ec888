"""Matplotlib's figures as SVG within a page: colours of the page's theme, no fixed size, no fonts.

Colours are drawn as placeholders and come out as CSS variables, so that one drawing serves light,
dark and print.
"""

from __future__ import annotations

import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

WIDTH = 420
"""Units of a drawing; text is legible where it is shown from 340 to 560 pixels wide."""

HEAT_LEVELS = 8
INK, MUTED, GRID = "#010203", "#020304", "#030405"
BEFORE, AFTER, LIMIT, BAND = "#040506", "#050607", "#060708", "#070809"
HEAT = tuple(f"#08090{level}" for level in range(HEAT_LEVELS))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    BEFORE: "--before",
    AFTER: "--accent",
    LIMIT: "--limit",
    BAND: "--band",
    **{colour: f"--heat-{level}" for level, colour in enumerate(HEAT)},
}
_COLOUR = re.compile("|".join(_VARIABLES))
_FONT = re.compile(r"font: (?:(?:bold|normal|italic) )*([\d.]+)px [^;]*")
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.color": MUTED,
    "ytick.labelsize": 11,
}

Draw = Callable[[Any], None]
"""Draws into the one pair of axes of a figure."""


def drawn(name: str, label: str, height: float, draw: Draw) -> Markup:
    """An SVG element.

    Args:
        name: Begins its ids, which must be unique in the page.
        label: What it shows, a sentence or two for those who do not see it.
        height: In units of which `WIDTH` are its width.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"tricast-{name}"}):
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        draw(figure.add_subplot())
        text = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(text, format="svg", transparent=True, dpi=72, metadata=nothing)
    return _inlined(name, label, text.getvalue())


def plain(text: str, most: int) -> str:
    """Text that any font can draw, and not too long of it: names come from strangers."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode()
    shown = "".join(letter if letter.isprintable() else "?" for letter in ascii_only)
    half = most // 2
    return shown if len(shown) <= most else f"{shown[: most - half - 2]}..{shown[-half:]}"


def _inlined(name: str, label: str, text: str) -> Markup:
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}metadata":
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            element.set(key, _rewritten(name, key, value))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", "chart")
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=True))


def _rewritten(name: str, key: str, value: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == f"{{{_XLINK}}}href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key in ("style", "fill", "stroke"):
        value = _FONT.sub(r"font-size: \1px", value)
        value = _COLOUR.sub(lambda found: f"var({_VARIABLES[found[0]]})", value)
    return value.replace("url(#", f"url(#{name}-")
