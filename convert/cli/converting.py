"""Make artifacts, or say what making them would take."""

from __future__ import annotations

from typing import Annotated

import typer

from convert.cli.options import (
    ALL_CORES,
    AsJson,
    Batch,
    Calibrate,
    CalibrationTokens,
    Context,
    CoresPerWorker,
    ExactFiles,
    FleetFile,
    Frozen,
    GoldenPlace,
    Hardware,
    Imatrix,
    Junit,
    KeepFailed,
    Lora,
    MaxKld,
    Memory,
    Method,
    Network,
    On,
    Out,
    Price,
    PromptsPlace,
    PromptTokens,
    RecipeName,
    Revision,
    Settings,
    SmoothQuant,
    SplitMaxSize,
    Staging,
    StorageSpeed,
    TargetBits,
    TensorParallel,
    Threads,
    To,
    Workers,
)


def run(
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint folder, GGUF file, or hub id.")
    ] = None,
    out: Out = "out",
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
    golden: GoldenPlace = None,
    prompts: PromptsPlace = None,
    calibrate: Calibrate = None,
    calibration_tokens: CalibrationTokens = None,
    imatrix: Imatrix = None,
    method: Method = None,
    smooth_quant: SmoothQuant = None,
    target_bits: TargetBits = None,
    max_kld: MaxKld = None,
    keep_failed: KeepFailed = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an interrupted run left.")
    ] = False,
    memory: Memory = None,
    frozen: Frozen = None,
    split_max_size: SplitMaxSize = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write a page about each artifact.")
    ] = True,
    junit: Junit = None,
    staging: Staging = None,
    on: On = None,
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
        calibration_tokens=calibration_tokens, lora=lora, junit=junit, frozen=frozen, report=report,
        staging=staging, on=on,
    )  # fmt: skip


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
    hardware: Hardware = None,
    batch: Batch = None,
    context: Context = None,
    prompt_tokens: PromptTokens = None,
    files: ExactFiles = False,
    workers: Workers = None,
    cores_per_worker: CoresPerWorker = None,
    network: Network = None,
    storage: StorageSpeed = None,
    price: Price = None,
    fleet: FleetFile = None,
    out: Annotated[
        str, typer.Option("--out", help="Folder or s3:// URL that a run would write to.")
    ] = "out",
    as_json: AsJson = False,
) -> None:
    """Say from config.json alone what a run will make and cost, and how it will do on a machine.

    Ends with exit code 5 if an artifact does not fit its devices.
    """
    from convert import commands

    commands.plan(
        model, recipe, to or [], revision=revision,
        common={"tensor_parallel": tensor_parallel, "target_bits": target_bits},
        settings=settings or [], as_json=as_json, hardware=hardware or [], batch=batch,
        context=context, prompt_tokens=prompt_tokens, files=files, out=out, workers=workers,
        fleet={
            "cores": cores_per_worker, "network": network, "storage": storage, "price": price,
            "profile": fleet,
        },
    )  # fmt: skip
