"""Times OpenVINO IRs of one model against each other, taking turns in one process.

    python -m bench.ir_speed --ir ours=out/openvino-int4 --ir peer=out/peer --report out/speed.md

Each IR runs with the options that it carries and the plugin's defaults for the others; options
behind a name, ``peer=FOLDER,KEY=VALUE``, replace them. A round gives every IR the same prompt and
the same tokens to decode, in an order that turns with the rounds, so that a busy spell of the
machine hits all of them; ratios are taken within a round and their median is reported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN_KINDS = ("FullyConnected", "LLMMLP", "QKVProjection", "RMS", "RoPE", "Attention")


@dataclass(frozen=True)
class Contender:
    """An IR under a name.

    Args:
        name: In the table.
        folder: With ``openvino_model.xml``.
        options: Of the plugin, in place of those the IR carries.
    """

    name: str
    folder: Path
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Read ``NAME=FOLDER[,KEY=VALUE...]``.

        Raises:
            ValueError: There is no name, or an option has no value.
        """
        first, *others = (part.partition("=") for part in text.split(","))
        if not all(key and sign and value for key, sign, value in (first, *others)):
            raise ValueError(f"expected NAME=FOLDER[,KEY=VALUE...], found {text!r}")
        return cls(first[0], Path(first[2]), {key: value for key, _, value in others})


@dataclass(frozen=True)
class Times:
    """Seconds of one contender in one round: of the prompt, and of one decoded token."""

    prefill: float
    decode: float


class CompiledIr:
    """An IR as the CPU plugin compiles it."""

    def __init__(self, contender: Contender) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(contender.folder / "openvino_model.xml")
        self.compiled = core.compile_model(model, "CPU", dict(contender.options))
        self._request = self.compiled.create_infer_request()
        self._inputs = {name for port in self.compiled.inputs for name in port.get_names()}

    def run(self, prompt: NDArray[np.int64], decoded: NDArray[np.int64]) -> Times:
        """Time a prompt, then tokens one by one; a token costs the median of them."""
        self._request.reset_state()
        prefill = self._feed(prompt, 0)
        steps = [self._feed(token[None], len(prompt) + step) for step, token in enumerate(decoded)]
        return Times(prefill, statistics.median(steps))

    def kinds(self) -> Counter[str]:
        """How many operators of each kind the plugin runs."""
        operators = self.compiled.get_runtime_model().get_ordered_ops()
        return Counter(str(node.get_rt_info()["layerType"].astype(str)) for node in operators)

    def _feed(self, ids: NDArray[np.int64], past: int) -> float:
        total = past + len(ids)
        feeds: dict[str, Any] = {
            "input_ids": ids[None],
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(past, total)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        started = time.perf_counter()
        self._request.infer({name: feeds[name] for name in self._inputs})
        return time.perf_counter() - started


def hold(
    compiled: Mapping[str, CompiledIr], *, prompt: int, decoded: int, rounds: int, vocab: int
) -> dict[str, list[Times]]:
    """Let all take turns; a first round, in which memory is still being laid out, is left out."""
    draw = np.random.default_rng(0)
    measured: dict[str, list[Times]] = {name: [] for name in compiled}
    names = list(compiled)
    for number in range(rounds + 1):
        ids = draw.integers(0, vocab, prompt + decoded)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times = compiled[name].run(ids[:prompt], ids[prompt:])
            if number:
                measured[name].append(times)
    return measured


def table(measured: Mapping[str, Sequence[Times]], prompt: int) -> str:
    """Tokens a second of each, and how many times as fast the first is, in Markdown."""
    first = next(iter(measured))
    lines = [
        f"| IR | prefill of {prompt}, tokens/s | decode, tokens/s "
        f"| prefill, {first} / it | decode, {first} / it |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, times in measured.items():
        prefill = prompt / statistics.median(one.prefill for one in times)
        decode = 1 / statistics.median(one.decode for one in times)
        pairs = list(zip(measured[first], times, strict=True))
        ratios = [
            statistics.median(other.prefill / one.prefill for one, other in pairs),
            statistics.median(other.decode / one.decode for one, other in pairs),
        ]
        lines.append(
            f"| {name} | {prefill:.1f} | {decode:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |"
        )
    return "\n".join(lines) + "\n"


def shown_kinds(compiled: Mapping[str, CompiledIr]) -> str:
    """Which fused operators each IR became, one line an IR."""
    lines = []
    for name, ir in compiled.items():
        kinds = {
            kind: count
            for kind, count in sorted(ir.kinds().items())
            if any(part in kind for part in _SHOWN_KINDS)
        }
        lines.append(f"- {name}: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}\n")
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compile, measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ir", action="append", required=True, type=Contender.parse)
    parser.add_argument("--prompt", type=int, nargs="+", default=[64, 512], help="tokens")
    parser.add_argument("--decoded", type=int, default=16, help="tokens a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args(arguments)
    compiled = {contender.name: CompiledIr(contender) for contender in options.ir}
    vocab = min(
        int(ir.compiled.output("logits").get_partial_shape()[-1].get_length())
        for ir in compiled.values()
    )
    report = shown_kinds(compiled)
    for prompt in options.prompt:
        measured = hold(
            compiled, prompt=prompt, decoded=options.decoded, rounds=options.rounds, vocab=vocab
        )
        report += "\n" + table(measured, prompt)
    report += f"\nMedians of {options.rounds} rounds; {os.cpu_count()} cores, load at the end "
    report += f"{os.getloadavg()[0]:.1f}.\n"
    print(report)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report)


if __name__ == "__main__":
    main()
