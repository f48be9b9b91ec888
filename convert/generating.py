"""Continues texts with a finished artifact, in its own runtime and by its own tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.datasets import Text
from convert.decoding import Continuation, continue_batch
from convert.errors import BrokenInputError, UnsupportedTokenizerError, UsageError
from convert.manifest import read_manifest
from convert.sampling import Sampling, likeliest
from targets import target
from targets.base import Runner

Record = dict[str, Any]
"""index, prompt, prompt_ids, new_ids, text, finish."""


@dataclass(frozen=True)
class Generation:
    """What is asked for.

    Args:
        texts: To be continued, in order.
        prompt_tokens: Each text is cut to its first so many tokens; None leaves it whole.
        new_tokens: At most so many are added to each.
        batch: Texts that are computed at once.
        chat: Put each text into the artifact's chat template, as the user's turn.
        sampling: None for the likeliest token each time.
        stop: Whether to end where the artifact says that a text ends.
    """

    texts: Sequence[Text]
    prompt_tokens: int | None = None
    new_tokens: int = 50
    batch: int = 1
    chat: bool = False
    sampling: Sampling | None = None
    stop: bool = True

    def settings(self, artifact: Path) -> dict[str, Any]:
        """All that the records depend on.

        Raises:
            MissingFileError: ``artifact`` has no manifest.
        """
        manifest = read_manifest(artifact).model_dump_json()
        texts = hashlib.sha256()
        for text in self.texts:
            texts.update(f"{len(text.content)}:{text.content}".encode(errors="surrogatepass"))
        return {
            "manifest": hashlib.sha256(manifest.encode()).hexdigest(),
            "texts": texts.hexdigest(),
            "sampling": None if self.sampling is None else asdict(self.sampling),
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
            "batch": self.batch,
            "chat": self.chat,
            "stop": self.stop,
        }


def generate(
    artifact: Path, asked: Generation, *, threads: int, start: int = 0
) -> Iterator[Record]:
    """Continue the texts from ``start`` on; nothing is computed before all are found sound.

    Yields:
        A record of each text, in order.

    Raises:
        MissingFileError: ``artifact`` has no manifest.
        UnsupportedTokenizerError: The artifact carries no tokenizer, or no chat template.
        BrokenInputError: A text is empty, or no text.
        UsageError: A text is too long for the artifact.
        UnsupportedError: The runtime holds no batch of this size.
    """
    with target(read_manifest(artifact).target).runner(artifact, threads=threads) as runner:
        prompts = [_prompt(runner, text, asked) for text in asked.texts]
        _reserve(runner, prompts, asked)
        for first in range(start, len(prompts), asked.batch):
            batch = range(first, min(first + asked.batch, len(prompts)))
            yield from _continued(runner, prompts, batch, asked)


def _prompt(runner: Runner, text: Text, asked: Generation) -> list[int]:
    """The ids to continue.

    Raises:
        TricastError: See `generate`.
    """
    try:
        text.content.encode()
    except UnicodeEncodeError as error:
        raise BrokenInputError(f"{text.where} is no Unicode text", found=str(error)) from error
    content = _rendered(runner, text) if asked.chat else text.content
    ids = runner.prompt_ids(content, rendered=asked.chat)
    if ids is None:
        raise UnsupportedTokenizerError(
            "the artifact carries no tokenizer",
            remedy="convert the model with its tokenizer",
        )
    if not ids:
        raise BrokenInputError(
            f"{text.where} is empty", expected="a text of at least one token to go on from"
        )
    return ids[: asked.prompt_tokens]


def _rendered(runner: Runner, text: Text) -> str:
    try:
        rendered = runner.chat([{"role": "user", "content": text.content}])
    except Exception as error:  # a template may raise anything
        raise UnsupportedTokenizerError(
            f"the artifact's chat template does not take {text.where}", found=str(error)
        ) from error
    if rendered is None:
        raise UnsupportedTokenizerError(
            "the artifact carries no chat template", remedy="leave out --chat"
        )
    return rendered


def _reserve(runner: Runner, prompts: Sequence[Sequence[int]], asked: Generation) -> None:
    """See that every text fits, and tell the runtime how long they get."""
    longest = max(range(len(prompts)), key=lambda i: len(prompts[i]))
    tokens = len(prompts[longest]) + asked.new_tokens
    if runner.context is not None and tokens > runner.context:
        raise UsageError(
            f"{asked.texts[longest].where} is too long for the artifact",
            expected=f"at most {runner.context} tokens with those to come",
            found=f"{len(prompts[longest])} tokens and {asked.new_tokens} to come",
            remedy="cut the texts with --prompt-tokens, or ask for fewer --new-tokens",
        )
    runner.reserve(tokens)


def _continued(
    runner: Runner, prompts: Sequence[list[int]], batch: range, asked: Generation
) -> Iterator[Record]:
    """The records of the texts of one batch."""
    found = continue_batch(
        runner,
        [prompts[index] for index in batch],
        [asked.sampling.chooser(index) if asked.sampling else likeliest for index in batch],
        new_tokens=asked.new_tokens,
        stop=runner.stop_ids if asked.stop else frozenset(),
    )
    for index, continuation in zip(batch, found, strict=True):
        yield _record(runner, index, prompts[index], continuation)


def _record(runner: Runner, index: int, prompt: list[int], added: Continuation) -> Record:
    before = runner.detokenize(prompt) or ""
    whole = runner.detokenize([*prompt, *added.ids]) or ""
    # Alone, a continuation may lose its leading space.
    fits = whole.startswith(before)
    return {
        "index": index,
        "prompt": before,
        "prompt_ids": prompt,
        "new_ids": list(added.ids),
        "text": whole[len(before) :] if fits else runner.detokenize(added.ids),
        "finish": added.finish,
    }
