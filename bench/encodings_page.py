"""Writes docs/encodings.md from the encodings themselves: `python -m bench.encodings_page`."""

from __future__ import annotations

import sys
from pathlib import Path

from passes.encodings import ENCODINGS, encoding
from passes.encodings.base import Encoding
from passes.encodings.fp8 import Fp8Tensor
from targets import TARGETS, target

PAGE = Path(__file__).resolve().parent.parent / "docs" / "encodings.md"
COLUMNS = ROWS = 4096

HEAD = f"""\
# Encodings

*Written by `python -m bench.encodings_page` from the code; a test holds it to that.*

An encoding says how the rows of a weight are stored. `convert list encodings` lists them,
`convert run --to FORMAT:ENCODING` takes one for the linear layers, and `overrides`, `embeddings`
and `head` of a [recipe](recipes.md) take another for some tensors. Below 8 bits, embeddings and
output head keep 8 bits unless a recipe says otherwise; a GGUF has them as llama.cpp's type says.

Bits a weight are those of rows of {COLUMNS:,} weights, scales included; bytes are those of a matrix
of {ROWS:,} x {COLUMNS:,} weights, exactly.

Of `int4` and `int4_sym` there is one for every group of 16 weights or more, as `int4_g48`; of `nf4`
and `nf4_dq` for every power of two, as `nf4_g128`. Where rows do not divide by the group, the
largest group that divides them is taken and listed in the manifest; `--strict` refuses instead.
"""

MIXES = """
## Names that stand for several

These are llama.cpp's: most linear layers get the encoding on the right, others what llama.cpp's
rules say ([Arm](arm.md#what-is-in-a-type)).

"""

FORMULAS = """
## Formulas

Each is stored as its module says, and its kernel equals a plain numpy reference bit for bit.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_table(), MIXES + "\n".join(_mixes()), FORMULAS, *_formulas()]) + "\n"


def _table() -> list[str]:
    rows = [
        "| encoding | stored for a row | bits a weight | bytes | targets |",
        "|---|---|--:|--:|---|",
    ]
    for name in ENCODINGS:
        one = _sized(encoding(name))
        stores = [each for each in TARGETS if {name, one.family} & set(target(each).encodings)]
        rows.append(
            f"| `{name}` | {_planes(one)} | {one.bits_per_weight(COLUMNS):.3f} | "
            f"{one.nbytes(ROWS, COLUMNS):,} | {', '.join(stores)} |"
        )
    return rows


def _planes(one: Encoding) -> str:
    """What is stored for a row, such as ``4096 codes i8, 1 scale f16``."""
    said = []
    for plane in one.planes(COLUMNS):
        count = 1
        for length in plane.row_shape:
            count *= length
        if plane.name == "blocks":
            said.append(f"{count:,} bytes of blocks")
            continue
        shared = f" for {plane.shared_rows} rows" if plane.shared_rows > 1 else ""
        said.append(f"{count:,} {plane.name.replace('_', ' ')} {plane.dtype}{shared}")
    return ", ".join(said)


def _mixes() -> list[str]:
    rows = ["| name | target | mostly |", "|---|---|---|"]
    for each in TARGETS:
        for name, main in target(each).mixes.items():
            if name not in ENCODINGS:
                rows.append(f"| `{name}` | {each} | `{main}` |")
    return rows


def _formulas() -> list[str]:
    """Each module's own words, under the names of its encodings."""
    modules: dict[str, list[str]] = {}
    for name in ENCODINGS:
        modules.setdefault(_module_of(name), []).append(name)
    sections = []
    for module, names in modules.items():
        words = (sys.modules[module].__doc__ or "").strip()
        sections.append(f"\n### {', '.join(names)}\n\n```text\n{words}\n```")
    return sections


def _module_of(name: str) -> str:
    return type(encoding(name)).__module__


def _sized(one: Encoding) -> Encoding:
    """One whose scale is of the whole tensor, as if that were known."""
    return one.bound(1.0) if isinstance(one, Fp8Tensor) else one


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
