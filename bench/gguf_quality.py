"""How far GGUF files are from the BF16 one of the same model, judged by llama.cpp itself.

    python -m bench.gguf_quality BF16.gguf --text TEXT peer=THEIRS.gguf ours=OURS.gguf

The text is any UTF-8 file that no file was calibrated on; llama-perplexity reads 32 chunks of 512
tokens of it. Prints bytes, the mean of KL(BF16 || file) in nats, how often both rank the same
token first, and the ratio of each KL to that of the first file. ``--imatrix TEXT`` and ``--quantize
Q4_0,Q4_K_M`` let llama-quantize make files of its own first, with and without an imatrix.

Weights are used as they lie in the file (``--no-repack``): ggml's AMX kernels crash on machines
that announce AMX without allowing it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.peers import PEERS, LlamaCpp, llama_cpp

CHUNKS, TOKENS = 32, 512
IMATRIX_CHUNKS = 100
ATTEMPTS = 5
"""llama-perplexity ends without waiting for its log: a small model's summary may be lost."""


@dataclass(frozen=True)
class Judged:
    """What llama-perplexity says of a file.

    Args:
        name: Of the contestant.
        nbytes: Of the file.
        kld: Mean KL divergence from the BF16 file, in nats.
        error: Of that mean, one standard deviation.
        top1: Share of positions where both rank the same token first.
    """

    name: str
    nbytes: int
    kld: float
    error: float
    top1: float


def parse(name: str, nbytes: int, output: str) -> Judged:
    """Read what ``llama-perplexity --kl-divergence`` prints.

    Raises:
        ValueError: The figures are not there.
    """
    kld = re.search(r"^Mean +KLD: +(-?[\d.]+) ± +([\d.]+)", output, re.MULTILINE)
    top1 = re.search(r"^Same top p: +([\d.]+)", output, re.MULTILINE)
    if kld is None or top1 is None:
        raise ValueError(f"llama-perplexity says nothing of {name}:\n{output[-1000:]}")
    return Judged(name, nbytes, float(kld[1]), float(kld[2]), float(top1[1]) / 100)


def table(judged: Sequence[Judged]) -> str:
    """In Markdown; ratios are to the first."""
    lines = ["| file | bytes | mean KL | top-1 | KL / first |", "|---|--:|--:|--:|--:|"]
    for one in judged:
        kld = f"{one.kld:.4f} ± {one.error:.4f}"
        ratio = f"{one.kld / judged[0].kld:.2f}" if judged[0].kld else ""
        lines.append(f"| {one.name} | {one.nbytes:,} | {kld} | {one.top1:.1%} | {ratio} |")
    return "\n".join(lines) + "\n"


class Judge:
    """Holds files against one BF16 file on one text.

    Args:
        peer: Where llama.cpp is.
        text: What is read.
        logits: File for the BF16 file's logits, a gigabyte or so.
        chunks: How many of 512 tokens.
        threads: Of llama.cpp.
    """

    def __init__(
        self, peer: LlamaCpp, text: Path, logits: Path, *, chunks: int, threads: int
    ) -> None:
        self._peer, self._text, self._logits = peer, text, logits
        self._chunks, self._threads = chunks, threads

    def record(self, original: Path) -> None:
        """Write the logits that the others are held against."""
        self._run(original)

    def judge(self, name: str, file: Path) -> Judged:
        """Hold a file against what was recorded.

        Raises:
            ValueError: llama-perplexity says nothing of it, however often it is asked.
        """
        for _ in range(ATTEMPTS - 1):
            with suppress(ValueError):
                return parse(name, file.stat().st_size, self._run(file, "--kl-divergence"))
        return parse(name, file.stat().st_size, self._run(file, "--kl-divergence"))

    def _run(self, file: Path, *more: str) -> str:
        return output_of(
            [
                *(self._peer.program("llama-perplexity"), "--no-repack", "-m", file),
                *("-f", self._text, "-c", TOKENS, "--chunks", self._chunks, "-t", self._threads),
                *("--kl-divergence-base", self._logits, *more),
            ]
        )


def quantized(
    peer: LlamaCpp, original: Path, kinds: Sequence[str], text: Path | None, folder: Path
) -> list[tuple[str, Path]]:
    """Files of llama-quantize: each kind without an imatrix, and with one of a text if given."""
    made = []
    imatrix = folder / "imatrix.gguf"
    if text is not None:
        program = peer.program("llama-imatrix")
        command = [program, "--no-repack", "-m", original, "-f", text, "-o", imatrix]
        output_of([*command, "-c", TOKENS, "--chunks", IMATRIX_CHUNKS])
    for kind in kinds:
        for options in [(), ("--imatrix", imatrix)] if text is not None else [()]:
            out = folder / f"{kind}{'-imatrix' if options else ''}.gguf"
            output_of([peer.quantizer, *options, original, out, kind])
            made.append((f"llama-quantize {out.stem}", out))
    return made


def output_of(command: Sequence[object]) -> str:
    """What a command prints; both streams.

    Raises:
        RuntimeError: It fails.
    """
    words = [str(word) for word in command]
    run = subprocess.run(words, check=False, capture_output=True, text=True, errors="replace")
    if run.returncode != 0:
        raise RuntimeError(f"{words[0]} ended with {run.returncode}:\n{run.stderr[-2000:]}")
    return run.stdout + run.stderr


def main() -> None:
    """Judge as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("original", type=Path)
    parser.add_argument("files", nargs="*", help="NAME=FILE.gguf")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--quantize", default="")
    parser.add_argument("--imatrix", type=Path)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", type=Path, default=PEERS)
    options = parser.parse_args()
    peer = llama_cpp(options.peers)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        judge = Judge(
            *(peer, options.text, folder / "logits"),
            chunks=options.chunks,
            threads=options.threads,
        )
        judge.record(options.original)
        kinds = [kind for kind in options.quantize.split(",") if kind]
        files = quantized(peer, options.original, kinds, options.imatrix, folder)
        files += [
            (name, Path(file)) for name, _, file in (each.partition("=") for each in options.files)
        ]
        sys.stdout.write(table([judge.judge(name, file) for name, file in files]))


if __name__ == "__main__":
    main()
