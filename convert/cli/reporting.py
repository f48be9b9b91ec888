"""Show what was made: a page about a finished artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import ALL_CORES, GoldenFile, Threads


def report(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page to write. Default: DIR.report.html, beside DIR."),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Run the artifact again for figures by position.")
    ] = False,
    golden: GoldenFile = None,
    threads: Threads = ALL_CORES,
) -> None:
    """Write a page about an artifact: figures, charts, every tensor; one file for any browser."""
    from convert.progress import Reporter
    from convert.reporting.making import make_page

    place = make_page(
        artifact, out=out, gate=gate or golden is not None, golden=golden, threads=threads,
        reporter=Reporter(),
    )  # fmt: skip
    typer.echo(place)
