"""The contract of a runner: an artifact in its runtime, fed with tokens, giving logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError

Message = Mapping[str, str]
"""One turn of a chat: ``role`` and ``content``."""


class Runner(ABC):
    """An artifact, loaded in the runtime that its users use.

    It holds either one sequence, by `reset` and `feed`, or a batch of them, by `begin` and
    `advance`; starting one way forgets what the other held.
    """

    context: int | None = None
    """Tokens that a sequence may have, prompt and continuation together; None for no limit."""

    stop_ids: frozenset[int] = frozenset()
    """Tokens that end a generation, as the artifact says."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the sequence: an empty KV cache."""

    @abstractmethod
    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Append tokens to the sequence.

        Returns:
            Logits ``[len(ids), vocab]``; row i predicts the token after ``ids[i]``.
        """

    def reserve(self, tokens: int) -> None:  # noqa: B027 - most runtimes grow as they go
        """Tell, before `begin`, how many tokens each sequence of the batch will have at most."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Forget everything and feed a batch of sequences, each with at least one token.

        What a sequence's logits are does not depend on which others are in its batch, beyond
        the rounding of the runtime.

        Returns:
            Logits ``[len(prompts), vocab]`` after the last token of each.

        Raises:
            UnsupportedError: The runtime holds no batch of this size.
        """
        if len(prompts) != 1:
            raise UnsupportedError(
                "this runtime computes one sequence at a time",
                expected="a batch of 1",
                found=f"a batch of {len(prompts)}",
                remedy="use --batch 1",
            )
        self.reset()
        return self.feed(prompts[0])[-1:]

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append one token to each sequence of the batch that `begin` started.

        Args:
            tokens: One a sequence, in order. A sequence whose end nobody wants to see any more
                is fed some token all the same.

        Returns:
            Logits ``[len(tokens), vocab]``.
        """
        return self.feed(tokens)[-1:]

    def logits(self, ids: Sequence[int], prefill: int) -> NDArray[np.float32]:
        """Logits ``[len(ids), vocab]`` of one sequence: a prefill, then token by token."""
        self.reset()
        parts = [self.feed(ids[:prefill])]
        parts += [self.feed([token]) for token in ids[prefill:]]
        return np.concatenate(parts)

    def generate(self, ids: Sequence[int], new_tokens: int, stop: frozenset[int]) -> list[int]:
        """Greedy continuation of ``ids``: at most ``new_tokens`` ids, ending before a stop id."""
        self.reset()
        generated: list[int] = []
        last = self.feed(ids)[-1]
        while len(generated) < new_tokens:
            token = int(last.argmax())
            if token in stop:
                break
            generated.append(token)
            last = self.feed([token])[-1]
        return generated

    def tokenize(self, text: str) -> list[int] | None:
        """Ids of ``text`` by the artifact's own tokenizer, no special tokens added, special
        tokens in the text not parsed; None if the artifact carries no tokenizer.
        """
        return None

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int] | None:
        """Ids of a prompt, as the original's tokenizer makes them: special tokens in the text
        are parsed, those that begin every text come in front, none that end one behind.

        Args:
            rendered: A chat template wrote the text and has put in all special tokens itself.

        Returns:
            None if the artifact carries no tokenizer. Empty for an empty text, where the
            tokenizer puts nothing in front.
        """
        return None

    def detokenize(self, ids: Sequence[int]) -> str | None:
        """The text of ``ids`` by the artifact's own tokenizer, special tokens left out; None if
        the artifact carries no tokenizer.
        """
        return None

    def known_difference(self, text: str, tokenizer: Mapping[str, Any]) -> str | None:
        """Why this runtime is known to tokenize ``text`` otherwise than the original.

        Args:
            text: What is tokenized.
            tokenizer: The original's tokenizer.json.

        Returns:
            A documented limit of the runtime, or None if `tokenize` must agree.
        """
        return None

    def chat(self, messages: Sequence[Message]) -> str | None:
        """``messages`` by the artifact's own chat template, with the generation prompt;
        None if it carries no template.
        """
        return None

    def time_by_kind(self) -> Mapping[str, int]:
        """Microseconds that each kind of operator took in the last `feed`, if the runtime was
        loaded by `Target.profiling_runner` and tells; empty otherwise.
        """
        return {}

    def close(self) -> None:  # noqa: B027 - most runtimes are released with their objects
        """Release the runtime."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
