"""How far OpenVINO IRs are from their checkpoint in float32, beside each other on one text.

    python -m bench.fidelity CHECKPOINT --text TEXT --ir ours=FOLDER --ir peer=FOLDER

The text is any UTF-8 file that no artifact was calibrated on; windows of it are taken at even
distances. The plugin computes in float32 and rounds no activations, so that weights are what is
compared; options behind a name, ``--ir ours=FOLDER,KEY=VALUE``, are set as well, and
``--as-shipped`` leaves each IR the options that it carries.
KL(original || IR) in nats is the mean over all positions, and top-1 how often both rank the same
token first. Ratios are to the last IR.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.ir_speed import Contender
from golden.metrics import PromptFigures, Summary, compare_logits, summarize

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOWS, TOKENS = 12, 512
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


def windows_of(ids: Sequence[int], windows: int, tokens: int) -> NDArray[np.int64]:
    """Windows ``[windows, tokens]`` of a text, from its beginning to its end at even distances.

    Raises:
        ValueError: The text is too short for windows that do not overlap.
    """
    if len(ids) < windows * tokens:
        raise ValueError(f"{len(ids)} tokens are not enough for {windows} windows of {tokens}")
    starts = np.linspace(0, len(ids) - tokens, windows).astype(np.int64)
    found: NDArray[np.int64] = np.asarray(ids, np.int64)[starts[:, None] + np.arange(tokens)]
    return found


def tokens_of(checkpoint: Path, text: str) -> list[int]:
    """The text in the checkpoint's own tokens, without any that the tokenizer adds."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def measure(
    checkpoint: Path, contenders: Sequence[Contender], windows: NDArray[np.int64], threads: int
) -> dict[str, Summary]:
    """Run the original and all IRs over the windows; one window's logits are held at a time."""
    from golden.reference import load
    from targets.openvino.run import OpenVinoRunner

    original = load(checkpoint, threads)
    runners: dict[str, Any] = {
        one.name: OpenVinoRunner(one.folder, threads=threads, overrides=one.options)
        for one in contenders
    }
    figures: dict[str, list[PromptFigures]] = {name: [] for name in runners}
    for window in windows:
        ids = [int(token) for token in window]
        expected = original.logits(ids)
        for name, runner in runners.items():
            runner.reset()
            figures[name].append(compare_logits(expected, runner.feed(ids), ids))
    return {name: summarize(found) for name, found in figures.items()}


def table(summaries: Mapping[str, Summary], sizes: Mapping[str, int]) -> str:
    """A Markdown row for each IR; ratios are of its mean KL to that of the last one."""
    last = list(summaries.values())[-1].mean_kld
    lines = ["| IR | weights, MB | mean KL | top-1 | KL / last |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {name} | {sizes[name] / 1e6:.1f} | {found.mean_kld:.4f} | {found.top1:.1%} "
        f"| {found.mean_kld / last:.2f} |"
        for name, found in summaries.items()
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--ir", action="append", required=True, type=Contender.parse)
    parser.add_argument("--as-shipped", action="store_true", help="the IR's own precision")
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    ids = tokens_of(options.checkpoint, options.text.read_text(encoding="utf-8"))
    windows = windows_of(ids, options.windows, options.tokens)
    precision = {} if options.as_shipped else FLOAT32
    contenders = [replace(one, options={**precision, **one.options}) for one in options.ir]
    summaries = measure(options.checkpoint, contenders, windows, options.threads)
    sizes = {one.name: (one.folder / "openvino_model.bin").stat().st_size for one in contenders}
    print(f"{options.windows} windows of {options.tokens} tokens of {options.text.name}\n")
    print(table(summaries, sizes))


if __name__ == "__main__":
    main()
