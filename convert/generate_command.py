"""What `convert generate` does, once its options are known."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convert.datasets import Text, read_data_set
from convert.errors import BrokenInputError, MissingFileError, UsageError
from convert.generating import Generation, Record
from convert.generating import generate as generate_records
from convert.output_lines import OutputLines
from convert.progress import Reporter
from convert.sampling import Sampling

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Source:
    """Where the texts are, as options say: one of the first three."""

    prompt: str | None
    prompt_file: Path | None
    data_set: str | None
    column: str
    limit: int | None

    def texts(self) -> list[Text]:
        """The texts.

        Raises:
            UsageError: None or more than one source is given.
            MissingFileError: There is no such file.
            BrokenInputError: A file is no UTF-8 text, or see `convert.datasets`.
        """
        given = [self.prompt, self.prompt_file, self.data_set]
        if sum(source is not None for source in given) != 1:
            raise UsageError(
                "it takes one thing to continue",
                expected="PROMPT, --prompt-file FILE or --dataset FILE",
            )
        if self.data_set is not None:
            return read_data_set(self.data_set, self.column, self.limit)
        if self.prompt_file is not None:
            if not self.prompt_file.exists() or self.prompt_file.is_dir():
                raise MissingFileError(f"there is no file {self.prompt_file}")
            return [_decoded(self.prompt_file.read_bytes(), self.prompt_file.name)]
        if self.prompt == STANDARD_INPUT:
            return [_decoded(sys.stdin.buffer.read(), "standard input")]
        return [Text(str(self.prompt), "the prompt")]


@dataclass(frozen=True)
class Drawing:
    """How tokens are drawn, as options say."""

    temperature: float | None
    top_k: int | None
    top_p: float | None
    seed: int

    def sampling(self) -> Sampling | None:
        """None if no option asks for chance: the likeliest token is taken each time.

        Raises:
            UsageError: A value is outside its range.
        """
        if self.temperature is None and self.top_k is None and self.top_p is None:
            return None
        temperature = 1.0 if self.temperature is None else self.temperature
        return Sampling(temperature, self.top_k, self.top_p, self.seed)


def generate(
    artifact: Path,
    source: Source,
    drawing: Drawing,
    *,
    prompt_tokens: int | None,
    new_tokens: int,
    batch: int,
    chat: bool,
    stop: bool,
    out: Path | None,
    restart: bool,
    as_json: bool,
    threads: int,
) -> None:
    """Carry out `convert generate`.

    Raises:
        TricastError: See `convert.generating.generate` and `convert.output_lines`.
    """
    asked = asked_for(
        source.texts, drawing, prompt_tokens=prompt_tokens, new_tokens=new_tokens, batch=batch,
        chat=chat, stop=stop,
    )  # fmt: skip
    if out is not None:
        _write(artifact, asked, out, restart=restart, threads=threads)
        return
    plain = source.data_set is None and not as_json
    for record in generate_records(artifact, asked, threads=threads):
        _say(record["text"] if plain else json.dumps(record, ensure_ascii=False))


def asked_for(
    texts: Callable[[], Sequence[Text]],
    drawing: Drawing,
    *,
    prompt_tokens: int | None,
    new_tokens: int,
    batch: int,
    chat: bool,
    stop: bool,
) -> Generation:
    """What is asked for; the texts are read when all else is found sound.

    Raises:
        UsageError: Options contradict each other.
    """
    if chat and prompt_tokens is not None:
        raise UsageError(
            "--prompt-tokens would cut off the end of the chat template",
            remedy="leave out one of --chat and --prompt-tokens",
        )
    sampling = drawing.sampling()
    return Generation(texts(), prompt_tokens, new_tokens, batch, chat, sampling, stop)


def _write(artifact: Path, asked: Generation, out: Path, *, restart: bool, threads: int) -> None:
    settings, reporter = asked.settings(artifact), Reporter()
    with OutputLines(out, settings, restart=restart, together=asked.batch) as lines:
        if lines.finished:
            reporter.say(f"{lines.finished} of {len(asked.texts)} texts are there already")
        records = generate_records(artifact, asked, threads=threads, start=lines.finished)
        with _counted(records, reporter) as counted, _kept(lines, reporter):
            for record in counted:
                lines.write(record)
        lines.publish()
    _say(str(out))


@contextmanager
def _kept(lines: OutputLines, reporter: Reporter) -> Iterator[None]:
    """Say what an interruption leaves."""
    try:
        yield
    except BaseException:
        if lines.finished:
            reporter.say(f"{lines.finished} texts are kept; the same command goes on from there")
        raise


@contextmanager
def _counted(records: Iterator[Record], reporter: Reporter) -> Iterator[Iterator[Record]]:
    """Say how many tokens there were, and how fast they came."""
    texts, tokens, started = 0, 0, time.perf_counter()

    def counting() -> Iterator[Record]:
        nonlocal texts, tokens
        for record in records:
            texts, tokens = texts + 1, tokens + len(record["new_ids"])
            yield record

    yield counting()
    seconds = time.perf_counter() - started
    reporter.say(
        f"{texts} texts, {tokens} new tokens in {seconds:.1f} s ({tokens / seconds:.1f} tokens/s)"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _decoded(data: bytes, name: str) -> Text:
    try:
        return Text(data.decode(), name)
    except UnicodeDecodeError as error:
        raise BrokenInputError(f"{name} is not UTF-8 text", found=str(error)) from error
