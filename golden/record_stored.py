"""Record what the original would give if it had an artifact's own stored weights.

Program: ``python -m golden.record_stored FOLDER --artifact DIR --target NAME --like GOLDEN --out
FILE``. At 4 bits the loss of precision hides a wrong RoPE base or a wrong epsilon. Between this
recording and the artifact that loss is no difference at all: what is left is the runtime's own
rounding, or a mistake.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from convert.graph import parameters
from convert.stored_layout import in_checkpoint_layout
from convert.weights import Weight
from golden import memory, program, reference
from golden.format import read, write
from targets import target


def record_stored(
    folder: Path, out: Path, *, artifact: Path, target_name: str, like: Path, threads: int
) -> None:
    """Record the model in ``folder`` with the weights that ``artifact`` stores.

    Args:
        folder: The original checkpoint; only its configuration counts in the end.
        like: A recording of the original, whose prompts are run.

    Raises:
        OutOfMemoryError: The model does not fit into memory in float32.
        TensorMismatchError: The artifact stores other parameters than the model has.
        TricastError: The model, the artifact or the recording cannot be read.
    """
    golden = read(like)
    memory.require_memory(folder)
    model = reference.load(folder, threads)
    stored = target(target_name).stored_weights(artifact)
    model.replace_weights(in_checkpoint_layout(_graph_weights(folder, target_name), stored))
    header = dataclasses.replace(golden.header, tokenized=(), chats=(), tokenizer_json=None)
    write(out, header, golden.prompts, model.all_logits(golden.prompts))


def _graph_weights(folder: Path, target_name: str) -> dict[str, Weight]:
    """How the target's graph arranges the weights of the checkpoint in ``folder``."""
    checkpoint = open_checkpoint(str(folder))
    architecture = architecture_of(checkpoint.config)
    model = architecture.build(architecture.parse(checkpoint.config), checkpoint.weights)
    for rewrite in target(target_name).passes({}):
        rewrite(model)
    return {name: parameter.weight for name, parameter in parameters(model).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m golden.record_stored", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a Hugging Face checkpoint")
    parser.add_argument("--artifact", type=Path, required=True, metavar="DIR")
    parser.add_argument("--target", required=True, metavar="NAME")
    parser.add_argument("--like", type=Path, required=True, metavar="GOLDEN")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    program.add_common_options(parser)
    options = parser.parse_args(arguments)

    def body() -> tuple[int, program.Report]:
        record_stored(
            options.folder,
            options.out,
            artifact=options.artifact,
            target_name=options.target,
            like=options.like,
            threads=options.threads,
        )
        return 0, {"golden": options.out.name}

    return program.run(body, options)


if __name__ == "__main__":
    sys.exit(main())
