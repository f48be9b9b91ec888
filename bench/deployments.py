"""Writes docs/deployments.md: every published deployment, planned at its real size.

    python -m bench.deployments            # writes the page
    python -m bench.deployments --check    # says whether the page is up to date

Everything on it follows from configurations, recipes and hardware profiles: it is the same on any
machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnx_ir as ir

from bench.contest import ROOT
from bench.deployed_models import CONFIGS
from bench.published_deployments import DEPLOYMENTS, Case, Deployment
from convert.hardware.catalogue import load_hardware
from convert.hardware.profile import Hardware
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.prediction.on_hardware import MODEL, HardwarePlan
from convert.prediction.roofline import Roofline
from convert.prediction.units import readable_bytes, readable_seconds, three_digits
from convert.preparation import resolve_encoding
from convert.recipe import Artifact, Recipe, load_recipe
from convert.target_options import with_options
from convert.uncollected import uncollected

PAGE = ROOT / "docs" / "deployments.md"

INTRODUCTION = """# Published deployments

*Written by `python -m bench.deployments`; a test holds it to what the planner says today.*

Each deployment below was published by others. Its recipe is in `recipes/`, and
`convert plan --recipe NAME` plans it at its real size from the model's config.json alone.
**Times are predicted, not measured**: the hardware was not at hand. They come from a roofline
(`convert/prediction/roofline.py`): weights and cached keys are read once a token, prompts are
multiplied, devices exchange sums, operators take a moment to start. Each profile
(`convert/hardware/profiles/`) gives the source of every figure.

- *held*: bytes on one device, the cache of the longest context included.
- *at least*: everything at its published peak, with nothing that starts or waits: nothing can be
  faster.
- *predicted*: with the shares of the peaks that the profile gives, and the source of each.
- *published*: what the publisher measured. A prediction should lie between the bound and twice the
  published figure; ✓ says that it does, ✗ that it does not, and the text below the table why.

Ranges are those of the shortest and the longest prompt. The model takes for granted: {model}.
"""


CLOSING = """## Other machines

    convert list hardware                                     # the profiles that there are
    convert plan MODEL --to gguf:q4_0 --hardware graviton4 --batch 4 --context 8192
    convert plan MODEL --to gguf:q4_0 --hardware this         # this machine, measured in a moment
    convert plan MODEL --recipe NAME --hardware own.yaml      # a profile of your own

A profile is a YAML file; copy one of `convert/hardware/profiles/` and change its figures. Every
figure has a value, in units of one (bytes, bytes a second, operations a second, seconds, or a share
between 0 and 1), and a source: an address, how it is derived, or `assumed:` and why. The plan
prints all of them. It ends with exit code 5 where an artifact does not fit a machine that was
named."""


@dataclass(frozen=True)
class Outcome:
    """A case, planned: the same quantity at the peaks and as predicted, for both ends of a range.

    Args:
        machine: With the longest prompt.
        bound: Of the shortest prompt, and of the longest.
        predicted: Likewise.
    """

    case: Case
    machine: HardwarePlan
    bound: tuple[float, float]
    predicted: tuple[float, float]

    @property
    def holds(self) -> bool | None:
        """Whether the prediction lies where it should; None where nothing was published."""
        published = self.case.published
        if published is None:
            return None
        ends = zip(self.bound, self.predicted, (published.low, published.high), strict=True)
        if self.case.measure == "prompt rate":  # more is better
            return all(measured / 2 <= found <= most for most, found, measured in ends)
        return all(least <= found <= 2 * measured for least, found, measured in ends)


@cache
def _planner(model: str, artifact: str) -> tuple[Planner, Artifact, ir.Model]:
    """A model and the graph of an artifact, which is all the time that a plan takes."""
    made = Artifact.model_validate_json(artifact)
    planner = Planner(CONFIGS[model], Recipe(name=model, artifacts=(made,)))
    return planner, made, planner.graph(made)


@cache
def _hardware(name: str) -> Hardware:
    return load_hardware(name)


def outcome(case: Case) -> Outcome:
    """Plan a case."""
    chosen = with_options(load_recipe(case.recipe), case.settings)
    # The others of a recipe are other forms of the same deployment.
    artifact = resolve_encoding(chosen.artifacts[0])
    bare = artifact.model_copy(update={"options": {}})  # they say nothing about weights
    planner, _, graph = _planner(case.model, bare.model_dump_json())
    assert case.hardware in chosen.hardware, f"{case.recipe} does not name {case.hardware}"

    def on(prompt: int) -> HardwarePlan:
        asked = Asked(case.batch, prompt + case.new, prompt)
        return planner.on(case.hardware, _hardware(case.hardware), artifact, graph, asked)

    shortest, longest = map(on, case.prompts)
    assert shortest.bound and shortest.reached and longest.bound and longest.reached
    return Outcome(
        case,
        longest,
        (_measured(case, shortest.bound), _measured(case, longest.bound)),
        (_measured(case, shortest.reached), _measured(case, longest.reached)),
    )


def _measured(case: Case, roofline: Roofline) -> float:
    work = roofline.work
    if case.measure == "answer":
        return roofline.generation()
    if case.measure == "prompt rate":
        return work.batch * work.prompt / roofline.first_token().seconds
    # The shortest context is that of the first next token, the longest that of the last.
    shortest = work.prompt == case.prompts[0] != case.prompts[1]
    return roofline.next_token(work.prompt + 1 if shortest else work.context).seconds


def page() -> str:
    """The whole page."""
    sections = [INTRODUCTION.format(model=MODEL)]
    with uncollected():
        sections += ["\n".join(_section(deployment)) for deployment in DEPLOYMENTS]
    return "\n\n".join([*sections, CLOSING]) + "\n"


def _section(deployment: Deployment) -> Iterator[str]:
    outcomes = [outcome(case) for case in deployment.cases]
    yield from (f"## {deployment.title}", "", deployment.text, "")
    titles = [
        "model",
        "recipe",
        "on",
        "batch",
        "held",
        "fits",
        "at-least",
        "predicted",
        "published",
    ]
    yield f"| {' | '.join(titles).replace('-', ' ')} | |"
    yield "|---|---|---|--:|--:|---|--:|--:|--:|---|"
    yield from map(_row, outcomes)
    yield ""
    shares = [line for line in map(_shares, outcomes) if line]
    if shares:
        yield from (*shares, "")
    for one in outcomes:
        if one.case.miss:
            devices = one.machine.work.devices
            yield f"{one.case.model} on {devices} of `{one.case.hardware}`: {one.case.miss}."
            yield ""
    yield from (f"{note}\n" for note in deployment.notes)
    yield from (f"- Verified here: {text}." for text in deployment.verified)
    yield from (f"- *Unverified*: {text}." for text in deployment.unverified)


def _row(one: Outcome) -> str:
    case, work = one.case, one.machine.work
    settings = "".join(f" `--set {key}={value}`" for key, value in case.settings.items())
    device = one.machine.hardware.device
    on = f"{work.devices} {device}s" if work.devices > 1 else f"1 {device}"
    held = one.machine.memory
    return (
        f"| {case.model} | `{case.recipe}`{settings} | {on} of `{case.hardware}` | {case.batch} "
        f"| {readable_bytes(held.needed)} | {'yes' if held.fits else 'NO'} "
        f"| {_bound(one)} | {_readable(case, one.predicted)} "
        f"| {_published(case)} | {_mark(one.holds)} |"
    )


def _readable(case: Case, ends: tuple[float, float]) -> str:
    if case.measure == "prompt rate":
        low, high = (three_digits(value) for value in sorted(ends))
        return f"{low} to {high} tokens/s" if low != high else f"{low} tokens/s"
    low, high = (readable_seconds(value) for value in ends)
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def _bound(one: Outcome) -> str:
    text = _readable(one.case, one.bound)
    return f"at most {text}" if one.case.measure == "prompt rate" else text


def _published(case: Case) -> str:
    known = case.published
    if known is None:
        return "none"
    if known.at_most:
        return f"under {readable_seconds(known.high)}"
    return _readable(case, (known.low, known.high))


def _mark(holds: bool | None) -> str:
    return "" if holds is None else "✓" if holds else "✗"


def _shares(one: Outcome) -> str:
    """Where the time of a token goes, where devices exchange anything."""
    reached = one.machine.reached
    if reached is None or one.machine.work.devices == 1:
        return ""
    shares = reached.next_token(one.machine.work.context).shares()
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    return (
        f"- {one.case.model} on {one.machine.work.devices} of `{one.case.hardware}`, a next token: "
        f"{listed}"
    )


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    text = page()
    if not options.check:
        options.page.write_text(text)
    elif not options.page.is_file() or options.page.read_text() != text:
        sys.exit(f"{options.page} is out of date: run python -m bench.deployments")


if __name__ == "__main__":
    main()
