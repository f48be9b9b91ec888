"""Check finished artifacts against the original and their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import (
    ALL_CORES,
    AsJson,
    GoldenPlace,
    Junit,
    Lora,
    Prompts,
    Revision,
    Threads,
)


def verify(
    artifact: Annotated[
        str, typer.Argument(help="Folder of a finished artifact, or its s3://, gs:// or az:// URL.")
    ],
    golden: GoldenPlace = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Run the gate again, or only the hashes.")
    ] = True,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (PEM) that it must be signed with.")
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option("--authority", help="Certificate authority (PEM) that must know the signer."),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--identity", help="Whom Sigstore must know the signer as; with --issuer."),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option("--issuer", help="Who vouched for the identity, a URL.")
    ] = None,
    junit: Junit = None,
    threads: Threads = ALL_CORES,
) -> None:
    """Check an artifact's signature, files and claims, and run its gate again."""
    from convert import commands

    commands.verify(
        artifact, golden=golden, gate=gate, threads=threads, junit=junit,
        key=key, authority=authority, identity=identity, issuer=issuer,
    )  # fmt: skip


def golden_record(
    model: Annotated[str, typer.Argument(help="Checkpoint folder, GGUF file, or hub id.")],
    out: Annotated[Path, typer.Option("--out", help="The recording to write.")],
    prompts: Prompts = None,
    revision: Revision = None,
    lora: Lora = None,
    tokenizer: Annotated[
        bool, typer.Option("--tokenizer/--no-tokenizer", help="Record the tokenizer too.")
    ] = True,
    threads: Threads = ALL_CORES,
) -> None:
    """Record float32 logits of the original, here or on a machine that can hold it."""
    from convert import commands

    commands.golden_record(
        model, out, prompts=prompts, revision=revision, tokenizer=tokenizer, threads=threads,
        lora=lora,
    )  # fmt: skip


def golden_compare(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    golden: Annotated[Path, typer.Option("--golden", help="The recording to compare with.")],
    as_json: AsJson = False,
    threads: Threads = ALL_CORES,
) -> None:
    """Compare an artifact with a recording of the original."""
    from convert import commands

    commands.golden_compare(artifact, golden, as_json=as_json, threads=threads)
