"""Options that several commands take, each with one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convert import cores

ALL_CORES = cores.ALL_CORES

Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the runtimes.")]
GoldenFile = Annotated[
    Path | None, typer.Option("--golden", help="A recording of the original made elsewhere.")
]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="Gate prompts, paragraphs of a text file.")
]
GoldenPlace = Annotated[
    str | None,
    typer.Option("--golden", help="A recording of the original made elsewhere: a file or a URL."),
]
PromptsPlace = Annotated[
    str | None, typer.Option("--prompts", help="Gate prompts, paragraphs of a text file or URL.")
]
KeepFailed = Annotated[
    bool, typer.Option("--keep-failed", help="Keep what fails the gate as NAME.failed.")
]
Out = Annotated[
    str, typer.Option("--out", help="Folder for the artifacts, or s3://, gs://, az://, hf://.")
]
Staging = Annotated[
    Path | None,
    typer.Option(
        "--staging",
        help="Below which folder artifacts for elsewhere are made. Default: the user's cache.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Who works: 'ray' (the cluster of this machine, or one started on it) or "
        "'ray://HOST:PORT'. Default: this process.",
    ),
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
Junit = Annotated[
    Path | None,
    typer.Option("--junit", help="Write every check of every artifact as JUnit XML."),
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
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory", help="For weights in flight, as 512MB. Default: a quarter of what is free."
    ),
]
Frozen = Annotated[
    Path | None,
    typer.Option(
        "--frozen", help="Make the artifact of this manifest again; fail if any byte differs."
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
Hardware = Annotated[
    list[str] | None,
    typer.Option(
        "--hardware",
        help="Predict for this machine: a name of `convert list hardware`, 'this', or a YAML "
        "file. Repeatable. Default: what the recipe names.",
    ),
]
Batch = Annotated[int | None, typer.Option("--batch", help="Sequences at once on that machine.")]
Context = Annotated[
    int | None, typer.Option("--context", help="Tokens of a prompt and its answer together.")
]
PromptTokens = Annotated[
    int | None, typer.Option("--prompt-tokens", help="Tokens of the prompt alone.")
]
ExactFiles = Annotated[
    bool,
    typer.Option(
        "--files", help="Also the exact size of every file; needs the checkpoint, and takes longer."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Plan the conversion by a fleet of so many machines."),
]
CoresPerWorker = Annotated[
    int | None, typer.Option("--cores-per-worker", min=1, help="Default: 16.")
]
Network = Annotated[
    str | None,
    typer.Option("--network", help="Of each of them, as 100Gbit/s or 3GB/s. Default: 25Gbit/s."),
]
StorageSpeed = Annotated[
    str | None,
    typer.Option("--storage", help="Of the storage, for all together. Default: 46GB/s, of S3."),
]
Price = Annotated[float | None, typer.Option("--price", min=0, help="Of one machine for an hour.")]
FleetFile = Annotated[
    Path | None,
    typer.Option("--fleet", help="YAML with these and other figures of the fleet; see the docs."),
]
