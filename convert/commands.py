"""What each command does, once its options are known."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from convert.errors import GateError, UsageError
from convert.progress import Reporter
from convert.recipe import Recipe, faults, load_recipe, parse_to


def run(
    model: str | None,
    recipe: str | None,
    to: Sequence[str],
    *,
    out: Path,
    revision: str | None,
    common: Mapping[str, Any],
    settings: Sequence[str],
    gate: bool,
    tokenizer: bool,
    strict: bool,
    golden: Path | None,
    prompts: Path | None,
    calibrate: str | None,
    imatrix: str | None,
    keep_failed: bool,
    restart: bool,
    memory: str | None,
    split_max_size: str | None,
    threads: int,
    calibration_tokens: int | None = None,
    lora: Sequence[Path] | None = None,
) -> None:
    """Carry out `convert run`.

    Args:
        common: What every artifact is to have, by the recipe's keys; None leaves the recipe's.
        calibration_tokens: See `Recipe.calibration_tokens`.
        lora: See `Recipe.lora`; None leaves the recipe's.

    Raises:
        TricastError: See `convert.pipeline.run`.
    """
    from convert.opening import open_early
    from convert.sizes import parse_size

    if golden is not None and not gate:
        raise UsageError("--golden and --no-gate contradict each other", remedy="drop one of them")
    chosen = _recipe(model, recipe, to, revision, common, prompts, calibrate, imatrix)
    if calibration_tokens is not None:
        chosen = chosen.model_copy(update={"calibration_tokens": calibration_tokens})
    if lora:
        chosen = chosen.model_copy(update={"lora": tuple(map(str, lora))})
    opened = open_early(chosen)
    from convert.pipeline import RunRequest
    from convert.pipeline import run as run_pipeline
    from convert.target_options import parse_settings, with_options

    given = parse_settings(settings)
    if split_max_size is not None:
        given["split_max_size"] = split_max_size
    chosen = with_options(chosen, given)
    request = RunRequest(
        chosen, out, threads, gate=gate, tokenizer=tokenizer, strict=strict, golden=golden,
        keep_failed=keep_failed, restart=restart, opened=opened,
        memory=parse_size(memory) if memory else None,
    )  # fmt: skip
    for folder in run_pipeline(request, Reporter()):
        print(folder)


def plan(
    model: str | None,
    recipe: str | None,
    to: Sequence[str],
    *,
    revision: str | None,
    common: Mapping[str, Any],
    settings: Sequence[str],
    as_json: bool,
) -> None:
    """Carry out `convert plan`.

    Raises:
        DoesNotFitError: An artifact does not fit the devices it is for; the plan is printed.
    """
    from convert.config_only import read_config
    from convert.planning import plan as make_plan
    from convert.target_options import parse_settings, with_options

    chosen = _recipe(model, recipe, to, revision, common)
    if chosen.model is None:
        raise UsageError(
            "no model is named",
            expected="MODEL on the command line, or `model:` in the recipe",
        )
    config = read_config(chosen.model, revision=chosen.revision)
    planned = make_plan(config, with_options(chosen, parse_settings(settings)))
    print(planned.as_json() if as_json else planned.as_text())
    planned.require_fit()


def _recipe(
    model: str | None,
    recipe: str | None,
    to: Sequence[str],
    revision: str | None,
    common: Mapping[str, Any],
    prompts: Path | None = None,
    calibrate: str | None = None,
    imatrix: str | None = None,
) -> Recipe:
    """The recipe that the options amount to; what the command line says goes before the file."""
    if recipe is None and not to:
        raise UsageError(
            "nothing to make",
            expected="--to FORMAT:ENCODING, or --recipe NAME",
            remedy="for example: convert run MODEL --to gguf:q4_0 --out OUT",
        )
    document: dict[str, Any] = (
        load_recipe(recipe).model_dump() if recipe else {"name": "command-line"}
    )
    if to:
        document["artifacts"] = [parse_to(text).model_dump() for text in to]
    if model:
        document |= {"model": model, "revision": None}
    if revision:
        document["revision"] = revision
    if prompts:
        document["prompts"] = str(prompts)
    if calibrate:
        document["calibrate"] = calibrate
    if imatrix:
        document["imatrix"] = imatrix
    for artifact in document["artifacts"]:
        artifact |= {key: value for key, value in common.items() if value is not None}
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise UsageError("the options contradict each other", found=faults(error)) from error


def import_checkpoint(file: Path, out: Path) -> None:
    """Carry out `convert import`."""
    from convert.import_gguf import import_gguf

    with Reporter().stage(f"import {file.name}"):
        import_gguf(file, out)
    print(out)


def inspect(path: Path, *, as_json: bool) -> None:
    """Carry out `convert inspect`."""
    from convert.inspection import inspect as inspect_path

    inspection = inspect_path(path)
    print(inspection.as_json() if as_json else inspection.as_text())


def imatrix(
    model: str, out: Path, *, text: Path | None, tokens: int | None, revision: str | None
) -> None:
    """Carry out `convert imatrix`.

    Raises:
        TricastError: See `convert.making_imatrix.make_imatrix`.
    """
    from convert.making_imatrix import make_imatrix

    make_imatrix(model, out, text=text, tokens=tokens, revision=revision, reporter=Reporter())
    print(out)


def verify(artifact: Path, *, golden: Path | None, gate: bool, threads: int) -> None:
    """Carry out `convert verify`."""
    from convert.verification import verify as verify_artifact

    verify_artifact(artifact, golden=golden, gate=gate, threads=threads, reporter=Reporter())
    print(f"{artifact}: verified")


def bench(
    artifact: Path,
    *,
    prompt_tokens: str,
    batch: str,
    new_tokens: int,
    profile: bool,
    plot: Path | None,
    as_json: bool,
    threads: int,
) -> None:
    """Carry out `convert bench`.

    Raises:
        TricastError: See `convert.benching`.
    """
    from convert import benching, speed_report
    from convert.speed_plot import plotter

    lengths = speed_report.parse_counts(prompt_tokens, "--prompt-tokens")
    batches = speed_report.parse_counts(batch, "--batch")
    draw = plotter(plot) if plot is not None else None
    common: dict[str, Any] = {"new_tokens": new_tokens, "threads": threads}
    if profile and (len(lengths) > 1 or batches != [1]):
        raise UsageError("--profile takes one length of prompts, and batch 1")
    if profile:
        common |= {"prompt_tokens": lengths[0], "profile": True}
        speeds = [benching.measure_speed(artifact, **common)]
    else:
        sweep = benching.measure_sweep(artifact, prompt_tokens=lengths, batches=batches, **common)
        speeds = list(sweep)
    if draw is not None:
        draw(artifact.resolve().name, speeds)
    print(speed_report.as_json(speeds) if as_json else speed_report.as_text(speeds))


def golden_record(
    model: str,
    out: Path,
    *,
    prompts: Path | None,
    revision: str | None,
    tokenizer: bool,
    threads: int,
    lora: Sequence[Path] | None = None,
) -> None:
    """Carry out `convert golden record`."""
    from convert.checkpoint import open_checkpoint
    from convert.inputs import describe_source
    from golden.gate import record_golden

    reporter = Reporter()
    with ExitStack() as stack:
        scratch = tempfile.TemporaryDirectory(dir=out.parent, prefix=".tricast-")
        folder = Path(stack.enter_context(scratch))
        checkpoint = open_checkpoint(model, revision=revision, scratch=folder, adapters=lora or ())
        stack.callback(checkpoint.close)
        with reporter.stage("hash the checkpoint"):
            origin = describe_source(checkpoint)
        with reporter.stage("record the original"):
            record_golden(
                checkpoint.folder,
                out,
                prompts=prompts,
                threads=threads,
                label=origin.label,
                digest=origin.digest,
                tokenizer=tokenizer,
                adapters=lora or (),
            )
    print(out)


def golden_compare(artifact: Path, golden: Path, *, as_json: bool, threads: int) -> None:
    """Carry out `convert golden compare`.

    Raises:
        GateError: A figure is beyond its threshold.
    """
    from convert.gate_lines import gate_lines
    from convert.gating import thresholds
    from convert.manifest import read_manifest
    from golden.gate import run_gate

    manifest = read_manifest(artifact)
    result = run_gate(
        artifact,
        manifest.target,
        golden,
        thresholds(manifest.recipe),
        threads=threads,
        digest=manifest.source.digest,
    )
    print(json.dumps(result.to_json(), indent=1) if as_json else "\n".join(gate_lines(result)))
    if not result.passed:
        raise GateError(f"{artifact} does not match the original", found="; ".join(result.failures))


def list_things(what: str) -> None:
    """Carry out `convert list`."""
    from convert.listing import listing

    for name, meaning in listing(what):
        print(f"{name:<28} {meaning}".rstrip())
