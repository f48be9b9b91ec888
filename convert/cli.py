"""The command line: options and what they mean, no logic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Convert a language-model checkpoint for Arm, Xeon and Gaudi, and check every artifact "
    "against the original before it may exist. Add --debug to any command for tracebacks.",
)
golden_app = typer.Typer(no_args_is_help=True, help="Record the original; compare an artifact.")
app.add_typer(golden_app, name="golden")

Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the runtimes.")]
GoldenFile = Annotated[
    Path | None, typer.Option("--golden", help="A recording of the original made elsewhere.")
]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="Gate prompts, paragraphs of a text file.")
]
Revision = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit on the hub.")
]
SplitMaxSize = Annotated[
    str | None,
    typer.Option("--split-max-size", help="Split GGUF files into shards of at most this, as 2G."),
]
Lora = Annotated[
    list[Path] | None, typer.Option("--lora", help="LoRA adapter to merge first. Repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="Draw tokens instead of taking the likeliest.")
]
TopK = Annotated[
    int | None, typer.Option("--top-k", help="Draw from so many of the likeliest tokens.")
]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", help="Draw from the likeliest tokens of this share, as 0.9."),
]
NewTokens = Annotated[
    int, typer.Option("--new-tokens", min=1, help="At most so many are added to each text.")
]
To = Annotated[
    list[str] | None,
    typer.Option("--to", help="FORMAT:ENCODING, for example gguf:q4_0. Repeatable."),
]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", help="Name of a shipped recipe, or a YAML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE, a setting of a target, as cards=8. Repeatable."),
]
TensorParallel = Annotated[
    int | None,
    typer.Option(
        "--tensor-parallel", min=2, help="Cut the model for so many ranks, such as sockets."
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        help="Text whose activations are measured where an artifact needs that: a file, "
        "'sample' (the shipped text) or 'none'.",
    ),
]
CalibrationTokens = Annotated[
    int | None,
    typer.Option(
        "--calibration-tokens",
        min=32,
        help="Tokens of that text, at most, for activation ranges and --method. "
        "Default: 2048, for --method 4096.",
    ),
]
Imatrix = Annotated[
    str | None,
    typer.Option(
        "--imatrix", help="Weight scales by this llama.cpp imatrix (GGUF) instead of by a text."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="How codes are found: gptq, awq, awq-gptq, autoround or awq-autoround. "
        "Default: scales weighted in one pass.",
    ),
]
SmoothQuant = Annotated[
    str | None, typer.Option("--smooth-quant", help="Its alpha (0 to 1), 'search' or 'none'.")
]
TargetBits = Annotated[
    float | None,
    typer.Option("--target-bits", help="The best mix of encodings of so many bits a weight."),
]
MaxKld = Annotated[
    float | None, typer.Option("--max-kld", help="The smallest mix of encodings of this mean KL.")
]

ALL_CORES: int = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)


@app.command()
def run(
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint folder, GGUF file, or hub id.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the artifacts.")] = Path("out"),
    to: To = None,
    recipe: RecipeName = None,
    revision: Revision = None,
    lora: Lora = None,
    tensor_parallel: TensorParallel = None,
    settings: Settings = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Compare with the original before shipping.")
    ] = True,
    tokenizer: Annotated[
        bool, typer.Option("--tokenizer/--no-tokenizer", help="Carry the tokenizer over.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse tensors that do not fit the encoding.")
    ] = False,
    golden: GoldenFile = None,
    prompts: Prompts = None,
    calibrate: Calibrate = None,
    calibration_tokens: CalibrationTokens = None,
    imatrix: Imatrix = None,
    method: Method = None,
    smooth_quant: SmoothQuant = None,
    target_bits: TargetBits = None,
    max_kld: MaxKld = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep what fails the gate as NAME.failed.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted run left.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", help="For weights in flight, as 512MB. Default: a quarter of what is free."
        ),
    ] = None,
    split_max_size: SplitMaxSize = None,
    threads: Threads = ALL_CORES,
) -> None:
    """Convert a checkpoint into one or more artifacts, each checked against the original."""
    from convert import commands

    commands.run(
        model, recipe, to or [], out=out, revision=revision,
        common={
            "tensor_parallel": tensor_parallel, "method": method, "smooth_quant": smooth_quant,
            "target_bits": target_bits, "max_kld": max_kld,
        },
        settings=settings or [], gate=gate, tokenizer=tokenizer, strict=strict, golden=golden,
        prompts=prompts, calibrate=calibrate, imatrix=imatrix, keep_failed=keep_failed,
        restart=restart, memory=memory, split_max_size=split_max_size, threads=threads,
        calibration_tokens=calibration_tokens, lora=lora,
    )  # fmt: skip


@app.command()
def plan(
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint folder, config.json, or hub id.")
    ] = None,
    to: To = None,
    recipe: RecipeName = None,
    revision: Revision = None,
    tensor_parallel: TensorParallel = None,
    target_bits: TargetBits = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say from config.json alone how large artifacts will be, and whether they fit their devices.

    Ends with exit code 5 if one does not fit.
    """
    from convert import commands

    commands.plan(
        model, recipe, to or [], revision=revision,
        common={"tensor_parallel": tensor_parallel, "target_bits": target_bits},
        settings=settings or [], as_json=as_json,
    )  # fmt: skip


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A GGUF file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint.")],
) -> None:
    """Turn a GGUF file into a Hugging Face checkpoint; name the first one of several shards."""
    from convert import commands

    commands.import_checkpoint(file, out)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A checkpoint, an artifact or a GGUF file.")],
    as_json: AsJson = False,
) -> None:
    """Show tensors, shapes, encodings, bytes and metadata."""
    from convert import commands

    commands.inspect(path, as_json=as_json)


@app.command()
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


@app.command()
def verify(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    golden: GoldenFile = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Run the gate again, or only the hashes.")
    ] = True,
    threads: Threads = ALL_CORES,
) -> None:
    """Check an artifact's files against its manifest, and run its gate again."""
    from convert import commands

    commands.verify(artifact, golden=golden, gate=gate, threads=threads)


@app.command()
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


@app.command()
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


@golden_app.command("record")
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


@golden_app.command("compare")
def golden_compare(
    artifact: Annotated[Path, typer.Argument(help="Folder of a finished artifact.")],
    golden: Annotated[Path, typer.Option("--golden", help="The recording to compare with.")],
    as_json: AsJson = False,
    threads: Threads = ALL_CORES,
) -> None:
    """Compare an artifact with a recording of the original."""
    from convert import commands

    commands.golden_compare(artifact, golden, as_json=as_json, threads=threads)


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="recipes, targets, passes, encodings or architectures")
    ],
) -> None:
    """List what there is."""
    from convert import commands

    commands.list_things(what)
