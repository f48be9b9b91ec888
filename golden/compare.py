"""Run an artifact in its own runtime and compare it with the recorded original.

Program: ``python -m golden.compare ARTIFACT --target NAME --golden FILE``. Exit code 3 if the
artifact is not close enough. A runtime that aborts takes the process with it: the caller sees a
signal instead of an exit code (see `golden.gate`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convert.errors import GateError, GoldenMismatchError, RecipeError
from golden import program
from golden.details import DecodeClock, details
from golden.format import GENERATED_TOKENS, Golden, Header, read
from golden.metrics import PromptFigures, compare_logits, summarize, tail
from golden.result import GateResult, Parity, Sample, judge
from golden.thresholds import Thresholds
from targets import target
from targets.base import Runner
from targets.without_torch import hide_torch

DECODED_TOKENS = 8
"""Tokens at each prompt's end that are fed one by one, through the KV cache."""


def compare(
    artifact: Path,
    target_name: str,
    golden: Golden,
    thresholds: Thresholds,
    threads: int,
    *,
    stored: Golden | None = None,
) -> GateResult:
    """Compare one artifact with its original; one prompt's logits are in memory at a time.

    Args:
        golden: The recorded original.
        stored: A recording of the same prompts with the artifact's own stored weights.

    Raises:
        GoldenMismatchError: The recording's vocabulary is not the artifact's.
        RunnerCrashedError: The runtime refuses the artifact.
        UsageError: The runtime is not installed.
    """
    with target(target_name).runner(artifact, threads=threads) as runner:
        clock = DecodeClock(runner)
        goldens = [golden] if stored is None else [golden, stored]
        rows = [_compare_prompt(runner, goldens, i) for i in range(len(golden.prompts))]
        tokenizer = _tokenizer_parity(runner, golden.header)
        chat = _chat_parity(runner, golden.header)
        sample = _generate(runner, golden.header)
    figures = [row[0] for row in rows]
    overall = summarize(figures)
    decoded = summarize([tail(each, DECODED_TOKENS) for each in figures])
    faithful = None if stored is None else summarize([row[1] for row in rows])
    return GateResult(
        target=target_name,
        golden=golden.header.model,
        overall=overall,
        decoded=decoded,
        faithful=faithful,
        prompts=tuple(summarize([each]) for each in figures),
        tokenizer=tokenizer,
        chat=chat,
        sample=sample,
        thresholds=thresholds,
        failures=judge(overall, decoded, faithful, tokenizer, chat, thresholds),
        details=details(golden, figures, clock, sample_ids=sample.prompt_ids, threads=threads),
    )


def _compare_prompt(runner: Runner, goldens: Sequence[Golden], index: int) -> list[PromptFigures]:
    golden = goldens[0]
    # Each row depends on the tokens up to its own alone, so a prompt may be cut anywhere.
    ids = golden.prompts[index][: runner.context]
    prefill = max(1, len(ids) - DECODED_TOKENS)
    logits = runner.logits(ids, prefill)
    if logits.ndim != 2 or len(logits) != len(ids):
        raise GateError(
            "the artifact's runtime gives logits of the wrong shape",
            expected=f"[{len(ids)}, {golden.header.model.vocab}]",
            found=str(list(logits.shape)),
        )
    golden.require_model(vocab=logits.shape[1])
    found = np.asarray(logits, np.float32)
    return [compare_logits(each.logits(index)[: len(ids)], found, ids) for each in goldens]


def _tokenizer_parity(runner: Runner, header: Header) -> Parity:
    if not header.tokenized:
        return Parity(0, 0, "not applicable: the recording has no tokenizer")
    tokenizer = json.loads(header.tokenizer_json or "{}")
    left_out = {
        item.text: runner.known_difference(item.text, tokenizer) for item in header.tokenized
    }
    compared = [item for item in header.tokenized if left_out[item.text] is None]
    differing, first = 0, None
    for item in compared:
        ids = runner.tokenize(item.text)
        if ids is None:
            return Parity(0, 0, "not applicable: the artifact carries no tokenizer")
        if tuple(ids) != item.ids:
            differing += 1
            first = first or (
                f"{item.text!r} should be {list(item.ids)}, the artifact says {list(ids)}"
            )
    reasons = sorted({reason for reason in left_out.values() if reason})
    count = len(header.tokenized) - len(compared)
    note = f"{count} texts left out: {'; '.join(reasons)}" if reasons else None
    return Parity(len(compared), differing, first or note)


def _chat_parity(runner: Runner, header: Header) -> Parity:
    if not header.chats:
        return Parity(0, 0, "not applicable: the recording has no chats")
    differing, first = 0, None
    for item in header.chats:
        text = runner.chat(item.messages)
        if text is None:
            return Parity(0, 0, "not applicable: the artifact carries no chat template")
        if text != item.text:
            differing += 1
            first = first or f"expected {item.text!r}, the artifact says {text!r}"
    return Parity(len(header.chats), differing, first)


def _generate(runner: Runner, header: Header) -> Sample:
    sample, room = header.sample_ids, GENERATED_TOKENS
    if runner.context is not None:
        sample = sample[: max(1, runner.context // 2)]
        room = min(room, runner.context - len(sample))
    ids = runner.generate(sample, room, frozenset(header.stop_ids))
    if header.tokenizer_json is None:
        return Sample(sample, tuple(ids), None, None)
    from tokenizers import Tokenizer

    decoder = Tokenizer.from_str(header.tokenizer_json)
    prompt = decoder.decode(list(sample))
    whole = decoder.decode([*sample, *ids])
    # Decoded together: alone, the continuation may lose its leading space.
    text = whole[len(prompt) :] if whole.startswith(prompt) else decoder.decode(ids)
    return Sample(sample, tuple(ids), prompt, text)


def main(arguments: Sequence[str] | None = None, *, own_process: bool = False) -> int:
    """Run the program; returns its exit code.

    Args:
        own_process: Whether nothing else runs in this process, which may be changed for good.
    """
    parser = argparse.ArgumentParser(prog="python -m golden.compare", description=__doc__)
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="the artifact's folder")
    parser.add_argument("--target", required=True, metavar="NAME")
    parser.add_argument("--golden", type=Path, required=True, metavar="FILE")
    parser.add_argument("--thresholds", required=True, metavar="JSON", help="an object of numbers")
    parser.add_argument("--stored", type=Path, metavar="FILE", help="from golden.record_stored")
    parser.add_argument("--digest", default="", help="hash of the checkpoint that was converted")
    program.add_common_options(parser)
    options = parser.parse_args(arguments)

    def body() -> tuple[int, program.Report]:
        if own_process and not target(options.target).runs_in_torch:
            hide_torch()
        golden = read(options.golden)
        golden.require_model(digest=options.digest)
        thresholds = _parse_thresholds(options.thresholds)
        stored = _read_stored(options.stored, golden) if options.stored else None
        result = compare(
            options.artifact, options.target, golden, thresholds, options.threads, stored=stored
        )
        _print(result)
        assert result.details is not None
        report = {"result": result.to_json(), "details": result.details.to_json()}
        return (0 if result.passed else GateError.exit_code), report

    return program.run(body, options)


def _read_stored(path: Path, golden: Golden) -> Golden:
    stored = read(path)
    if stored.prompts != golden.prompts:
        raise GoldenMismatchError(f"{path.name} was recorded on other prompts than the golden")
    return stored


def _parse_thresholds(text: str) -> Thresholds:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise RecipeError("the thresholds are not JSON", found=str(error)) from error
    if not isinstance(values, dict):
        raise RecipeError("the thresholds are not a JSON object", found=text)
    return Thresholds.from_mapping(values)


def _print(result: GateResult) -> None:
    overall = result.overall
    sys.stdout.write(
        f"mean KL {overall.mean_kld:.4g}, top-1 {overall.top1:.2%}, "
        f"perplexity ratio {overall.perplexity_ratio:.4f} over {overall.positions} positions\n"
    )
    if result.sample.text is not None:
        sys.stdout.write(f"sample: {result.sample.prompt}{result.sample.text}\n")
    for failure in result.failures:
        sys.stdout.write(f"failed: {failure}\n")


if __name__ == "__main__":
    sys.exit(main(own_process=True))
