"""A llama.cpp imatrix of a checkpoint: what goes into each linear layer while it reads a text."""

from __future__ import annotations

import tempfile
from pathlib import Path

from convert.architectures import architecture_of
from convert.calibration_text import MOST_TOKENS, SEQUENCE_TOKENS, required_text
from convert.checkpoint import open_checkpoint
from convert.errors import OutputExistsError
from convert.preparation import open_source
from convert.progress import Reporter
from passes.calibration.execution import bytes_to_read, run
from passes.calibration.observers import SecondMoments

SHIPPED_NAME = "tricast sample"


def make_imatrix(
    model: str,
    out: Path,
    *,
    text: Path | None,
    tokens: int | None,
    revision: str | None,
    reporter: Reporter,
) -> None:
    """Run a text through a model and write the sums of squares of what its layers read.

    Memory is that of a batch of the text within a layer and of a few blocks of weights, whatever
    the size of the model.

    Args:
        model: Checkpoint folder, GGUF file, or hub id.
        out: The file, which must not exist.
        text: What is read; None for the shipped text.
        tokens: Of it, at most; None for as many as other calibration reads.
        revision: Branch, tag or commit on the hub.

    Raises:
        OutputExistsError: There is such a file already.
        TricastError: As `open_checkpoint`, `required_text` and `passes.calibration.execution.run`.
    """
    from targets.gguf.families import family_of
    from targets.gguf.imatrix import write_imatrix

    if out.exists():
        raise OutputExistsError(f"{out} is there already", remedy="remove it, or name another")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".tricast-") as folder:
        scratch = Path(folder)
        checkpoint = open_checkpoint(model, revision=revision, scratch=scratch)
        try:
            config = open_source(checkpoint).config
            family_of(config)
            length = min(SEQUENCE_TOKENS, config.max_positions)
            most = tokens or MOST_TOKENS
            read = required_text(
                checkpoint.folder, text, sequence_tokens=min(length, most), most_tokens=most
            )
            graph = architecture_of(checkpoint.config).build(config, checkpoint.weights)
            seen = SecondMoments()
            title = f"read {sum(map(len, read.sequences))} tokens"
            with reporter.transfer(title, bytes_to_read(graph)) as advance:
                run(graph, read.sequences, [seen], advance, scratch=scratch)
        finally:
            checkpoint.close()
        name = text.name if text else SHIPPED_NAME
        unseen = write_imatrix(
            out, seen.sums, seen.tokens, config, dataset=name, chunk=max(map(len, read.sequences))
        )
    for each in unseen:
        reporter.say(f"  no token reached {each}")
