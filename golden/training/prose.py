"""Train a small Llama on texts of your own: `python -m golden.training.prose TEXT... --out DIR`.

Its weights were never of few bits, so it shows what an encoding costs a checkpoint as trained. In a
text a line with nothing but ``%`` ends a document, as in the files of the program `fortune`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden.training.corpus import TURN_END
from golden.training.models import LONGEST
from golden.training.tokenizer import DOCUMENT, train_tokenizer
from golden.training.train import Plan, fit, save, token_stream

if TYPE_CHECKING:
    import torch

_VOCABULARY = 4096
_PLAN = Plan(steps=3000, sequence=LONGEST, learning_rate=2e-3, warmup_steps=100, save_every=100)


def documents(texts: list[Path]) -> list[str]:
    """Read the documents of several files, in order; empty ones are left out."""
    joined = "\n%\n".join(text.read_text(encoding="utf-8") for text in texts)
    return [document.strip() for document in joined.split("\n%\n") if document.strip()]


def windows(stream: torch.Tensor, plan: Plan) -> Iterator[torch.Tensor]:
    """Draw the windows of each step, int64 [windows, sequence], from anywhere in the stream."""
    import torch

    draw = torch.Generator().manual_seed(plan.seed)
    for step in range(plan.steps):
        length = plan.sequence if 5 * step >= 4 * plan.steps else plan.sequence // 2
        rows = (plan.tokens_per_step // length, 1)
        starts = torch.randint(len(stream) - length, rows, generator=draw)
        yield stream[starts + torch.arange(length)]


def build(vocabulary: int) -> Any:
    """Make a Llama of 5.8 million random weights whose widths are multiples of 64."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=LONGEST,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def main(
    texts: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="UTF-8 files.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = _PLAN.steps,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Train the tokenizer and the model; leave a checkpoint every hundred steps."""
    import torch

    plan = replace(_PLAN, steps=steps)
    torch.set_num_threads(threads)
    torch.manual_seed(plan.seed)
    tokenizer = train_tokenizer(documents(texts), vocabulary=_VOCABULARY, longest=LONGEST)
    model = build(len(tokenizer))
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids(TURN_END), 0]
    stream, _ = token_stream(tokenizer, documents(texts), DOCUMENT)
    typer.echo(f"{sum(weight.numel() for weight in model.parameters())} weights")
    typer.echo(f"{len(stream)} tokens")

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            typer.echo(f"step {step}: loss {loss:.4f}")
        if step % plan.save_every == 0:
            save(model, tokenizer, out)

    # Weights change between steps, so no rounded copy of one may be kept.
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        fit(model, windows(stream, plan), plan, report)
    save(model, tokenizer, out)


if __name__ == "__main__":
    typer.run(main)
