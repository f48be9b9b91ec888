"""Run finished artifacts: how fast, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert.cli.options import ALL_CORES, AsJson, NewTokens, Temperature, Threads, TopK, TopP


def bench(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    prompt_tokens: Annotated[
        str, typer.Option("--prompt-tokens", help="Length of the prompt, or several: 128,512.")
    ] = "128",
    batch: Annotated[
        str, typer.Option("--batch", help="Sequences at once, or several: 1,4,8.")
    ] = "1",
    new_tokens: Annotated[
        int, typer.Option("--new-tokens", min=1, help="Tokens to decode after the first.")
    ] = 32,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also the time of each kind of operator.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the figures into a .png or .svg file.")
    ] = None,
    as_json: AsJson = False,
    threads: Threads = ALL_CORES,
) -> None:
    """Measure how fast an artifact runs here: first token, next tokens."""
    from convert import commands

    commands.bench(
        artifact,
        prompt_tokens=prompt_tokens,
        batch=batch,
        new_tokens=new_tokens,
        profile=profile,
        plot=plot,
        as_json=as_json,
        threads=threads,
    )


def generate(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    prompt: Annotated[
        str | None, typer.Argument(help="Text to continue; - reads standard input.")
    ] = None,
    prompt_file: Annotated[
        Path | None, typer.Option("--prompt-file", help="A file with the text to continue.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="JSON Lines of texts: a file, `news` for what comes with the program, "
            "or ORGANISATION/NAME:SPLIT on the hub.",
        ),
    ] = None,
    column: Annotated[
        str, typer.Option("--column", help="Key of the text in each line of the data set.")
    ] = "content",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only so many texts of the data set.")
    ] = None,
    prompt_tokens: Annotated[
        int | None,
        typer.Option("--prompt-tokens", min=1, help="Cut each text to its first so many tokens."),
    ] = None,
    new_tokens: NewTokens = 50,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Texts that are computed at once.")
    ] = 1,
    chat: Annotated[
        bool, typer.Option("--chat", help="Put each text into the artifact's chat template.")
    ] = False,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Annotated[int, typer.Option("--seed", help="Settles which tokens are drawn.")] = 0,
    stop: Annotated[
        bool,
        typer.Option("--stop-at-eos/--ignore-eos", help="End a text where the model ends it."),
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new file of JSON Lines, a record a text.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted run left of --out.")
    ] = False,
    as_json: AsJson = False,
    threads: Threads = ALL_CORES,
) -> None:
    """Continue a prompt, or each text of a data set, with a finished artifact in its runtime."""
    from convert import generate_command

    generate_command.generate(
        artifact,
        generate_command.Source(prompt, prompt_file, dataset, column, limit),
        generate_command.Drawing(temperature, top_k, top_p, seed),
        prompt_tokens=prompt_tokens, new_tokens=new_tokens, batch=batch, chat=chat, stop=stop,
        out=out, restart=restart, as_json=as_json, threads=threads,
    )  # fmt: skip
