"""Share finished artifacts: to a hub or registry, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repo = Annotated[
    str,
    typer.Argument(
        help="ORGANISATION/NAME on the Hugging Face hub, modelscope://ORGANISATION/NAME, or "
        "oci://HOST[:PORT]/NAME:TAG."
    ),
]


def publish(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    repo: Repo,
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see it. Default: private, on hubs.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and the model card; send nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Publish even what does not verify, or whose gate failed or was skipped; the "
            "model card then says so.",
        ),
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option("--license", help="Of the original, as apache-2.0. Default: what it says."),
    ] = None,
    base_model: Annotated[
        str | None, typer.Option("--base-model", help="The original on the hub.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Of the model, as en. Repeatable.")
    ] = None,
) -> None:
    """Publish an artifact with a model card that carries its measured figures."""
    from convert.publishing import commands, shown

    publication = commands.publish(
        artifact, repo, public=public, dry_run=dry_run, force=force, licence=licence,
        base_model=base_model, languages=tuple(language or ()),
    )  # fmt: skip
    for line in shown.lines(publication, public=public):
        typer.echo(line)


def pull(
    repo: Repo,
    out: Annotated[Path, typer.Argument(help="A new folder for the artifact.")],
) -> None:
    """Fetch a published artifact, and check it against its manifest."""
    from convert.publishing import commands

    manifest = commands.pull(repo, out)
    typer.echo(f"{out}: {sum(file.size for file in manifest.files):,} bytes, as its manifest says")
