"""The two ways to a graph, written by hand and imported: what they store, and how fast it runs.

    python -m bench.both_ways models/smollm2 --to openvino:int8 --rounds 9 --report out/both-ways.md

The checkpoint is of a hand-written family; both IRs are made by the same code, which for one of
them does not know the family. They take turns, see `bench.ir_speed`.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bench.ir_speed import CompiledIr, Contender, hold, shown_kinds, table
from convert.checkpoint import open_checkpoint
from convert.preparation import open_source, prepare, resolve_encoding
from convert.recipe import parse_to
from convert.stream import write_layouts

HAND, IMPORTED = "by hand", "imported"

_LEAST_STORED = 32
"""Elements of a constant that counts as a tensor of the model."""


@contextmanager
def nothing_written() -> Iterator[None]:
    """Within it no family is written by hand, so that each is imported."""
    with mock.patch("convert.architectures.ARCHITECTURES", ()):
        yield


def both_artifacts(model: str, to: str, folder: Path) -> dict[str, Path]:
    """Make the artifact of a checkpoint both ways.

    Args:
        model: The checkpoint.
        to: Target and encoding, ``openvino:int8``.
        folder: Where they are put.

    Returns:
        Their folders, by name of the way.
    """
    made = {HAND: folder / "hand", IMPORTED: folder / "imported"}
    _convert(model, to, made[HAND])
    with nothing_written():
        _convert(model, to, made[IMPORTED])
    return made


def _convert(model: str, to: str, place: Path) -> None:
    checkpoint = open_checkpoint(model)
    artifact = resolve_encoding(parse_to(to))
    source = open_source(checkpoint)
    prepared = prepare(checkpoint, source, artifact, tokenizer=False, strict=False)
    place.mkdir(parents=True)
    write_layouts([(place, prepared.layout)], threads=1)


def stored_tensors(folder: Path) -> Counter[str]:
    """Type, shape and hash of each constant of an IR, but for small ones, and how often it is."""
    import openvino

    model = openvino.Core().read_model(folder / "openvino_model.xml")
    found: Counter[str] = Counter()
    for node in model.get_ops():
        if node.get_type_name() != "Constant":
            continue
        shape = list(node.get_output_shape(0))
        count = 1
        for size in shape:
            count *= size
        if count >= _LEAST_STORED:
            digest = hashlib.sha256(node.data.tobytes()).hexdigest()[:16]
            found[f"{node.get_output_element_type(0).get_type_name()}{shape} {digest}"] += 1
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert, compare, measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("--to", default="openvino:int8", help="target and encoding")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--decoded", type=int, default=32, help="tokens a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made = both_artifacts(options.model, options.to, Path(folder))
        stored = {name: stored_tensors(place) for name, place in made.items()}
        compiled = {name: CompiledIr(Contender(name, place, {})) for name, place in made.items()}
        vocab = int(compiled[HAND].compiled.output("logits").get_partial_shape()[-1].get_length())
        measured = hold(
            compiled,
            prompt=options.prompt,
            decoded=options.decoded,
            rounds=options.rounds,
            vocab=vocab,
        )
        report = _report(options.model, options.to, stored)
        report += shown_kinds(compiled) + "\n" + table(measured, options.prompt)
    print(report)
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report)


def _report(model: str, to: str, stored: dict[str, Counter[str]]) -> str:
    apart = sum(((stored[HAND] - stored[IMPORTED]) | (stored[IMPORTED] - stored[HAND])).values())
    same = sum((stored[HAND] & stored[IMPORTED]).values())
    return f"# {Path(model).name}, {to}\n\n{same} tensors the same, {apart} of one IR alone.\n\n"


if __name__ == "__main__":
    main()
