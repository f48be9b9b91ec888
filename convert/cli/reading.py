"""Look into files, and turn them into what can be converted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import AsJson, Revision


def _say_version(wanted: bool) -> None:
    """Show the version, and end."""
    if wanted:
        from importlib import metadata

        typer.echo(f"tricast {metadata.version('tricast')}")
        raise typer.Exit


def program(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """What comes before a command."""


def import_(
    file: Annotated[Path, typer.Argument(help="A GGUF file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint.")],
) -> None:
    """Turn a GGUF file into a Hugging Face checkpoint; name the first one of several shards."""
    from convert import commands

    commands.import_checkpoint(file, out)


def inspect(
    path: Annotated[Path, typer.Argument(help="A checkpoint, an artifact or a GGUF file.")],
    as_json: AsJson = False,
) -> None:
    """Show tensors, shapes, encodings, bytes and metadata."""
    from convert import commands

    commands.inspect(path, as_json=as_json)


def imatrix(
    model: Annotated[str, typer.Argument(help="Checkpoint folder, GGUF file, or hub id.")],
    out: Annotated[Path, typer.Option("--out", help="The GGUF to write.")],
    calibrate: Annotated[
        Path | None, typer.Option("--calibrate", help="Text to read. Default: the shipped one.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="Read at most so many. Default: 2048.")
    ] = None,
    revision: Revision = None,
) -> None:
    """Write an imatrix for llama-quantize, or for --imatrix: what layers read of a text."""
    from convert import commands

    commands.imatrix(model, out, text=calibrate, tokens=tokens, revision=revision)


def list_(
    what: Annotated[
        str, typer.Argument(help="recipes, targets, passes, encodings, architectures or hardware")
    ],
) -> None:
    """List what there is."""
    from convert import commands

    commands.list_things(what)
