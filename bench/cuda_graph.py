"""Replays an artifact's decode.pt2 from a CUDA graph, the nearest thing to an HPU graph.

``python -m bench.cuda_graph ARTIFACT``: the program is moved to the card and captured once, with
the choice of the next token and the step to the next position inside, so that a replay reads
nothing of the host. The tokens are compared with those of the same program uncaptured, on the card
and on the CPU. Needs a CUDA device.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from convert.errors import TricastError, UsageError
from targets.gaudi.audit import audit, load_program
from targets.gaudi.loaded import Step, arguments_of, bind
from targets.gaudi.programs import DECODE_FILE
from targets.gaudi.stored_tensors import mapped_tensors

WARM_UP_STEPS = 3
"""Before a capture, so that libraries have allocated what they want."""


class SelfFeeding:
    """A decode step whose token, position and mask stay on the device.

    Args:
        step: The program with its weights and caches.
        caches: Those caches.
        batch: Sequences; all the same.
        context: Slots of the caches.
        device: Where everything is.
    """

    def __init__(
        self, step: Step, caches: Sequence[Tensor], batch: int, context: int, device: str
    ) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        self._step, self._caches, self.context = step, caches, context
        self.ids, self._positions = zeros(batch, 1), zeros(batch, 1)
        self._mask, self._position = zeros(batch, context), zeros(1)

    def restart(self) -> None:
        """Forget the sequence, in place."""
        for tensor in (*self._caches, self.ids, self._positions, self._mask, self._position):
            tensor.zero_()

    def __call__(self) -> None:
        """Feed ``ids`` and choose the likeliest token, which are the ``ids`` then."""
        self._mask.index_fill_(1, self._position, 1)
        logits = self._step(self.ids, self._mask, self._positions, self._position)
        self.ids.copy_(logits[:, -1:].argmax(-1))
        self._positions.add_(1)
        self._position.add_(1)


def load(artifact: Path, device: str) -> SelfFeeding:
    """The decode program of an artifact on a device.

    Raises:
        BrokenInputError: It has none that can be read.
        GraphCaptureError: A graph capture could not hold it.
    """
    program = load_program(artifact / DECODE_FILE)
    audit(program, DECODE_FILE)
    _, mask, *_, weights, caches = arguments_of(program, DECODE_FILE)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    stored = mapped_tensors(artifact)
    given = [stored[name].to(device) for name in weights]
    own = [torch.zeros(like.shape, dtype=like.dtype, device=device) for like in caches.values()]
    batch, context = mask.shape
    return SelfFeeding(bind(program, [*given, *own]), own, batch, context, device)


def captured(feeding: SelfFeeding) -> Callable[[], None]:
    """The same step, replayed from a CUDA graph."""
    stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    feeding.restart()
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            feeding()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        feeding()
    replay: Callable[[], None] = graph.replay
    return replay


def decode(
    feeding: SelfFeeding, run: Callable[[], None], prompt: Sequence[int], count: int
) -> list[int]:
    """Greedy continuation of a prompt that is fed token by token.

    Args:
        feeding: Its tensors are written and read.
        run: Makes one step of it: itself, or a replay.
        prompt: At least one token.
        count: New tokens.

    Raises:
        UsageError: The caches do not hold so many.
    """
    if len(prompt) + count > feeding.context:
        raise UsageError(
            f"the program holds {feeding.context} tokens",
            found=f"{len(prompt)} and {count}",
            remedy="ask for fewer, or convert with larger new_tokens",
        )
    feeding.restart()
    for token in prompt:
        feeding.ids.fill_(token)
        run()
    chosen = []
    for number in range(count):
        chosen.append(feeding.ids[0, 0].clone())
        if number + 1 < count:
            run()
    return [int(token) for token in chosen]


def report(tokens: Mapping[str, Sequence[int]], seconds: Mapping[str, float]) -> int:
    """Print tokens and speed of each way; 1 if the ways differ."""
    expected = next(iter(tokens.values()))
    for name, found in tokens.items():
        pairs = enumerate(zip(found, expected, strict=True))
        parting = next((number for number, (one, other) in pairs if one != other), None)
        verdict = "the same tokens" if parting is None else f"other tokens from {parting} on"
        print(f"{name:>24}: {len(found) / seconds[name]:8.1f} tokens/s, {verdict}")
    return int(any(list(found) != list(expected) for found in tokens.values()))


@torch.inference_mode()
def contest(
    ways: Mapping[str, tuple[SelfFeeding, Callable[[], None]]], prompt: Sequence[int], count: int
) -> int:
    """Decode in each way, after a warming up; the exit code."""
    tokens, seconds = {}, {}
    for name, (feeding, run) in ways.items():
        decode(feeding, run, prompt, 1)
        started = time.perf_counter()
        tokens[name] = decode(feeding, run, prompt, count)
        seconds[name] = time.perf_counter() - started
    return report(tokens, seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.cuda_graph", description=__doc__)
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT")
    parser.add_argument("--prompt", type=int, nargs="+", default=[1], metavar="ID")
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args(arguments)
    try:
        host = load(options.artifact, "cpu")
        ways: dict[str, tuple[SelfFeeding, Callable[[], None]]] = {"CPU": (host, host)}
        if not torch.cuda.is_available():
            contest(ways, options.prompt, options.tokens)
            raise UsageError("there is no CUDA device: nothing was captured")
        with torch.inference_mode():
            card = load(options.artifact, "cuda")
            ways |= {"CUDA": (card, card), "CUDA graph": (card, captured(card))}
        return contest(ways, options.prompt, options.tokens)
    except TricastError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
