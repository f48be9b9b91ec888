"""Writes docs/sizing.md: how long fleets take to convert the largest models, and why.

    python -m bench.sizing            # writes the page
    python -m bench.sizing --check    # says whether the page is up to date

Everything on it follows from configurations and from the figures that it names: it is the same on
any machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.contest import ROOT
from bench.deployed_models import LLAMA_70B, LLAMA_405B, QWEN3_MOE_1T, Config
from convert.hardware.fleet import Fleet, fleet_of
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.prediction.fleet import FleetCost
from convert.prediction.fleet_lines import TAKEN_FOR_GRANTED, readable_figure, workers
from convert.prediction.fleet_work import FleetWork, fleet_work
from convert.prediction.units import readable_bytes, readable_seconds, three_digits
from convert.preparation import resolve_encoding
from convert.recipe import Recipe, parse_to
from convert.uncollected import uncollected

PAGE = ROOT / "docs" / "sizing.md"
TARGETS = ("gguf:q4_k_m", "openvino:int4")
WORKERS = (1, 4, 16, 64)
NETWORKS = ("10Gbit/s", "25Gbit/s", "100Gbit/s")

INTRODUCTION = """# Sizing a fleet

*Written by `python -m bench.sizing`; a test holds it to what the planner says today.*

How long several machines take to convert a checkpoint that lies in object storage, into
{targets} at once, with artifacts that go back there.
**Times are predicted, not measured**: no such fleet was at hand. `convert plan` does the same for
any model, with the figures of your machines:

    convert plan MODEL --to gguf:q4_k_m --to openvino:int4 --out s3://bucket/made \\
      --workers 16 --cores-per-worker 32 --network 100Gbit/s --price 1.50

- The *driver*, one more machine of the same kind, plans, hands out tasks of one chunk (8 MiB of the
  checkpoint), writes and uploads what they return, and takes the SHA-256 of everything.
- A *worker* reads chunks by ranges and encodes them, one on each core.
- The scales are weighted by the shipped text of 128 tokens, as always. It goes through the model
  weight by weight, and each weight waits for the one before.
- The *bottleneck* is the stage that takes longest; *enough* is the number of workers beyond which
  hardly anything is gained.
- *machine hours* are those of the workers and the driver. Times the price of one, they are the
  cost; storage and its requests cost extra.
"""

CLOSING = """## Your own fleet

    convert plan MODEL --to gguf:q4_k_m --workers 16                        # the figures above
    convert plan MODEL --to gguf:q4_k_m --workers 16 --out /mnt/shared/made # workers write
    convert plan MODEL --to gguf:q4_k_m --workers 16 --fleet own.yaml --json

Whether `--out` is a URL or a folder decides who writes: workers write only into a folder that all
machines share. What no option says, a YAML file does; each figure has a value, in bytes a second or
in seconds, and where it comes from:

```yaml
cores: 64
price: 2.5
network: {value: 12.5e9, source: "100 Gbit/s, data sheet"}
storage: {value: 80e9, source: "measured: 64 readers"}
request: {value: 2e9, source: "measured: one reader of our file system"}
hashing: {value: 1.9e9, source: "measured: openssl speed -evp sha256"}
disk: {value: 3e9, source: "measured: dd"}
task: {value: 1e-3, source: "measured: empty tasks"}
start: {value: 60, source: "measured: until the first task"}
```
"""


@dataclass(frozen=True)
class Sized:
    """A model on the page.

    Args:
        text: What it is.
    """

    title: str
    config: Config
    text: str


MODELS: Mapping[str, Sized] = {
    "70B": Sized("70B", LLAMA_70B, "Llama 3.1 or 3.3 70B, dense."),
    "405B": Sized("405B", LLAMA_405B, "Llama 3.1 405B, dense."),
    "1T": Sized(
        "A trillion",
        QWEN3_MOE_1T,
        "A mixture of experts of the architecture of Qwen3-MoE, of sizes as Kimi K2 has them: 61 "
        "layers of 384 experts, of which 8 see a token. No such checkpoint is published.",
    ),
}


@cache
def work_of(model: str) -> FleetWork:
    """What converting a model asks of a fleet."""
    artifacts = tuple(resolve_encoding(parse_to(text)) for text in TARGETS)
    with uncollected():
        planner = Planner(MODELS[model].config, Recipe(name=model, artifacts=artifacts))
        planned = [planner.planned(artifact, {}, Asked()) for artifact in artifacts]
        return fleet_work(planner, planned)


def cost(model: str, count: int, network: str = NETWORKS[1], *, shared: bool = False) -> FleetCost:
    """A model by a fleet whose other figures are not said."""
    return FleetCost(work_of(model), fleet_of(count, network=network, shared=shared))


def page(models: Sequence[str] = tuple(MODELS)) -> str:
    """The whole page, or with some of the models."""
    sections = [INTRODUCTION.format(targets=" and ".join(f"`{each}`" for each in TARGETS))]
    sections += ["\n".join(section(model)) for model in models]
    return "\n".join([*sections, *_assumptions(), "", CLOSING])


def section(model: str) -> Iterator[str]:
    """The times of a model."""
    work = work_of(model)
    yield from (f"## {MODELS[model].title}", "", MODELS[model].text)
    made = " and ".join(map(readable_bytes, work.artifacts))
    tasks = f"{work.chunks:,} chunks"
    yield f"{readable_bytes(work.source)} become {made}, in {tasks}."
    yield from ("", "| workers | network | time | machine hours | bottleneck | enough |")
    yield "|--:|--:|--:|--:|---|--:|"
    for count in WORKERS:
        for network in NETWORKS:
            yield _row(cost(model, count, network), network)
    yield from ("", f"{workers(16).capitalize()} at 25 Gbit/s, stage by stage:", "")
    yield from ("| stage | object storage | a shared folder | |", "|---|--:|--:|---|")
    shared = {stage.name: stage for stage in cost(model, 16, shared=True).stages}
    for stage in cost(model, 16).stages:
        other = shared.get(stage.name)
        beside = readable_seconds(other.seconds) if other else ""
        yield f"| {stage.name} | {readable_seconds(stage.seconds)} | {beside} | {stage.doing} |"
    yield from ("", f"What would help: {cost(model, 16).remedy}.", "")
    yield "The same 16 workers otherwise:"
    yield ""
    bare = replace(work, text=None)
    for what, one in (
        ("into a shared folder", cost(model, 16, shared=True)),
        ("with an imatrix, so that no text runs", replace(cost(model, 16), work=bare)),
        ("both", replace(cost(model, 16, shared=True), work=bare)),
    ):
        yield f"- {what}: {readable_seconds(one.seconds)}, bottleneck {one.bottleneck.name}"
    yield ""


def _row(one: FleetCost, network: str) -> str:
    hours = (one.fleet.workers + 1) * one.seconds / 3600
    return (
        f"| {one.fleet.workers} | {network.replace('G', ' G')} | {readable_seconds(one.seconds)} "
        f"| {three_digits(hours)} | {one.bottleneck.name} | {one.most_useful:,} |"
    )


def _assumptions() -> Iterator[str]:
    yield from ("## What the figures are", "", "| figure | value | from |", "|---|--:|---|")
    yield f"| cores of a worker | {Fleet(workers=1).cores} | assumed: an example |"
    for name, figure in Fleet(workers=1).figures().items():
        yield f"| {name} | {readable_figure(name, figure.value)} | {figure.source} |"
    yield from ("", "And it is taken for granted that", "")
    yield from (f"- {each};" for each in TAKEN_FOR_GRANTED[:-1])
    yield f"- {TAKEN_FOR_GRANTED[-1]}."


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
        sys.exit(f"{options.page} is out of date: run python -m bench.sizing")


if __name__ == "__main__":
    main()
