"""Record the float32 outputs of an original model, for artifacts to be compared with.

Program: ``python -m golden.record FOLDER --out FILE``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convert.errors import MissingFileError
from golden import layered as layers
from golden import memory, program, reference, texts, tokenization
from golden.adapters import merge_adapters
from golden.format import GENERATED_TOKENS, Header, ModelIdentity, prompts_hash, write
from golden.parts import Part

MAX_PROMPT_TOKENS = 224
"""Longer prompts are cut: enough for a wrong RoPE base to show, short enough for every cache."""

SAMPLED_PROMPTS, SAMPLED_TOKENS = 5, 96
SAMPLE_WORDS = 5
ROOM_TO_GENERATE = 32


def record(
    folder: Path,
    out: Path,
    *,
    prompts: Sequence[str] | None = None,
    threads: int = 1,
    label: str | None = None,
    digest: str = "",
    tokenizer: bool = True,
    layered: bool | None = None,
    adapters: Sequence[Path] = (),
    part: Part | None = None,
) -> None:
    """Record the model in ``folder`` into the golden file ``out``.

    The same model, prompts, threads and library versions give the same bytes.

    Args:
        folder: A Hugging Face checkpoint.
        prompts: Texts; the shipped ones if None. Without a tokenizer the prompts are sampled
            from the model itself.
        label: Name of the model; the folder's name if None.
        digest: Hash by which the caller tells checkpoints apart.
        tokenizer: Whether to tokenize text and to record parity texts and chats.
        layered: Have one layer in memory at a time; None for a model that does not fit. The logits
            are the same to float32 rounding.
        adapters: Folders of LoRA adapters, merged into the model in this order.
        part: Record the prompts of this part only, see `golden.parts`.

    Raises:
        OutOfMemoryError: Not even a layer of the model fits into memory in float32.
        UnsupportedTokenizerError: ``tokenizer`` is asked for and there is none.
        TricastError: The model cannot be loaded, see `golden.reference.load`.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise MissingFileError(f"{folder.name} holds no config.json")
    in_layers = _in_layers(folder, layered)
    words = tokenization.load(folder) if tokenizer else None
    original = _original(folder, threads, adapters, layered=in_layers)
    ids = _ids(words, original, prompts)
    language = _language(words, ids, prompts)
    if part is not None:
        ids = part.of(ids)
    header = Header(
        model=ModelIdentity(
            label=label or folder.resolve().name,
            config_sha256=hashlib.sha256(config.read_bytes()).hexdigest(),
            digest=digest,
            vocab=original.vocab,
        ),
        versions={name: version(name) for name in ("torch", "transformers", "tokenizers")},
        prompts_sha256=prompts_hash(ids),
        stop_ids=original.stop_ids,
        continuation=None
        if part is not None and part.number
        else original.continuation(language["sample_ids"], GENERATED_TOKENS),
        **language,
    )
    write(out, header, ids, original.all_logits(ids))


def _in_layers(folder: Path, asked: bool | None) -> bool:
    """Whether one layer is to be in memory at a time."""
    fits = memory.fits(folder)
    if asked is False:
        memory.require_memory(folder)
    return not fits if asked is None else asked


def _ids(
    tokenizer: Any, original: reference.Reference, prompts: Sequence[str] | None
) -> list[list[int]]:
    """Tokens of the prompts, or sampled ones without a tokenizer."""
    room = max(2, min(MAX_PROMPT_TOKENS, original.max_positions - ROOM_TO_GENERATE))
    if tokenizer is None:
        return original.sample(SAMPLED_PROMPTS, min(room, SAMPLED_TOKENS))
    chosen = texts.prompts() if prompts is None else prompts
    ids = [tokenization.prompt_ids(tokenizer, text)[:room] for text in chosen]
    return [prompt for prompt in ids if prompt]


def _original(
    folder: Path, threads: int, adapters: Sequence[Path], *, layered: bool
) -> reference.Reference:
    if layered:
        return layers.load(folder, threads, adapters)
    original = reference.load(folder, threads)
    merge_adapters(original.model, folder, adapters)
    return original


def _language(
    tokenizer: Any, ids: Sequence[Sequence[int]], prompts: Sequence[str] | None
) -> dict[str, Any]:
    """The parts of the header that depend on the tokenizer."""
    if tokenizer is None:
        return {"sample_ids": tuple(ids[0][:8])}
    first = (texts.prompts() if prompts is None else prompts)[0]
    opening = " ".join(first.split(" ")[:SAMPLE_WORDS])
    return {
        "sample_ids": tuple(tokenization.prompt_ids(tokenizer, opening)),
        "tokenized": tokenization.tokenize(tokenizer, texts.parity_texts()),
        "chats": tokenization.render(tokenizer, texts.chats()),
        "tokenizer_json": tokenization.serialized(tokenizer),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m golden.record", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a Hugging Face checkpoint")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="texts between lines of ---")
    parser.add_argument("--label", help="name of the model")
    parser.add_argument("--digest", default="", help="hash that tells checkpoints apart")
    parser.add_argument("--no-tokenizer", action="store_true")
    parser.add_argument("--lora", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument(
        "--layered",
        action=argparse.BooleanOptionalAction,
        help="one layer in memory at a time; otherwise only if the model does not fit",
    )
    parser.add_argument("--part", type=Part.parse, metavar="N/ALL", help=argparse.SUPPRESS)
    program.add_common_options(parser)
    options = parser.parse_args(arguments)

    def body() -> tuple[int, program.Report]:
        record(
            options.folder,
            options.out,
            prompts=texts.prompts(options.prompts) if options.prompts else None,
            threads=options.threads,
            label=options.label,
            digest=options.digest,
            tokenizer=not options.no_tokenizer,
            layered=options.layered,
            adapters=options.lora,
            part=options.part,
        )
        return 0, {"golden": options.out.name}

    return program.run(body, options)


if __name__ == "__main__":
    sys.exit(main())
