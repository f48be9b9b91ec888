"""What each command does, once its options are known."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from convert.errors import GateError
from convert.progress import Reporter


def run(
    model: str | None,
    recipe: str | None,
    to: Sequence[str],
    *,
    common: Mapping[str, Any],
    settings: Sequence[str],
    junit: Path | None = None,
    lora: Sequence[Path] | None = None,
    frozen: Path | None = None,
    **options: Any,
) -> None:
    """Carry out `convert run`.

    Args:
        common: What every artifact is to have, by the recipe's keys; None leaves the recipe's.
        junit: Where to write the checks of all artifacts.
        lora: See `Recipe.lora`; None leaves the recipe's.
        frozen: A manifest whose artifact is to be made again.
        options: As for `convert.api.run`.

    Raises:
        TricastError: See `convert.api.run`.
    """
    from convert import api
    from convert.continuous_integration import reporting
    from convert.target_options import parse_settings
    from convert.trusting import frozen_command

    with reporting("convert run", junit) as reporter:
        if frozen is not None:
            settled = {"recipe": recipe, "to": to, "set": settings, **common}
            frozen_command(frozen, model, lora=lora, reporter=reporter, **settled, **options)
            return
        made = api.run(
            model, recipe=recipe, to=to, settings=parse_settings(settings), lora=lora or (),
            reporter=reporter, **common, **options,
        )  # fmt: skip
        for artifact in made.artifacts:
            print(artifact.place)


def plan(
    model: str | None,
    recipe: str | None,
    to: Sequence[str],
    *,
    revision: str | None,
    common: Mapping[str, Any],
    settings: Sequence[str],
    as_json: bool,
    **asked: Any,
) -> None:
    """Carry out `convert plan`.

    Args:
        asked: Machines, and what they are to do; as for `convert.api.plan`.

    Raises:
        DoesNotFitError: An artifact does not fit the devices it is for; the plan is printed.
    """
    from convert import api
    from convert.target_options import parse_settings

    planned = api.plan(
        model,
        recipe=recipe,
        to=to,
        revision=revision,
        settings=parse_settings(settings),
        **common,
        **asked,
    )
    print(planned.as_json() if as_json else planned.as_text())
    planned.require_fit()


def import_checkpoint(file: Path, out: Path) -> None:
    """Carry out `convert import`."""
    from convert.import_gguf import import_gguf

    with Reporter().stage(f"import {file.name}"):
        import_gguf(file, out)
    print(out)


def inspect(path: Path, *, as_json: bool) -> None:
    """Carry out `convert inspect`."""
    from convert import api

    inspection = api.inspect(path)
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


def verify(
    artifact: str,
    *,
    golden: str | None,
    gate: bool,
    threads: int,
    junit: Path | None = None,
    **signer: Any,
) -> None:
    """Carry out `convert verify`.

    Args:
        signer: Whose signature it must have; as for `convert.api.verify`.

    Raises:
        TricastError: See `convert.api.verify`.
    """
    from convert import api
    from convert.continuous_integration import reporting

    with reporting("convert verify", junit) as reporter:
        api.verify(artifact, golden=golden, gate=gate, threads=threads, reporter=reporter, **signer)
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
    from convert import api, speed_report
    from convert.speed_plot import plotter

    lengths = speed_report.parse_counts(prompt_tokens, "--prompt-tokens")
    batches = speed_report.parse_counts(batch, "--batch")
    draw = plotter(plot) if plot is not None else None
    speeds = api.bench(
        artifact, prompt_tokens=lengths, batch=batches, new_tokens=new_tokens, profile=profile,
        threads=threads,
    )  # fmt: skip
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
            checkpoint.bring_here()
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
