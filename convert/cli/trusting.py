"""Say who made an artifact, and how two differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import AsJson


def sign(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            help="Private key (PEM, P-256, P-384 or P-521); its password, if it has one, is taken "
            "from TRICAST_KEY_PASSWORD or asked for.",
        ),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="Certificate (PEM) of the key.")
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option("--chain", help="Certificate between that and its authority. Repeatable."),
    ] = None,
    keyless: Annotated[
        bool, typer.Option("--keyless", help="Sign with an identity of Sigstore, online.")
    ] = False,
) -> None:
    """Sign an artifact: all its files, its manifest, and what follows from that."""
    from convert import trusting
    from convert.errors import UsageError

    if (key is None) != keyless:
        raise UsageError("it is not clear who signs", expected="either --key FILE or --keyless")
    trusting.sign_command(artifact, key=key, certificate=certificate, chain=chain or [])


def diff(
    first: Annotated[Path, typer.Argument(help="Artifact, manifest.json, checkpoint or GGUF.")],
    second: Annotated[Path, typer.Argument(help="What to compare it with.")],
    as_json: AsJson = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every line, not only the first of each section.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with exit code 1 if anything differs.")
    ] = False,
) -> None:
    """Show what differs between two artifacts: recipe, versions, files, encodings, gate."""
    from convert import trusting

    differs = trusting.diff_command(first, second, as_json=as_json, show_all=show_all)
    if differs and exit_code:
        raise typer.Exit(1)
