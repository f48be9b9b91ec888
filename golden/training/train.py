"""Train a small model on generated text: `python -m golden.training.train tiny-llama --out DIR`."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden.training import corpus
from golden.training.evaluate import quality
from golden.training.models import LONGEST, SmallModel, small_model

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Plan:
    """How long and on how much a model is trained; the defaults are the repository's."""

    characters: int = 5_000_000
    steps: int = 2400
    tokens_per_step: int = 1024
    sequence: int = LONGEST
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    save_every: int = 400
    seed: int = 0


def token_stream(
    tokenizer: Any, texts: list[str], separator: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Join documents, each behind a separator.

    Returns:
        All ids int64 [tokens], and where in them each separator stands, int64 [documents].
    """
    import torch

    first = tokenizer.convert_tokens_to_ids(separator)
    documents = [[first, *ids] for ids in tokenizer(texts)["input_ids"]]
    lengths = torch.tensor([len(document) for document in documents])
    stream = torch.tensor([token for document in documents for token in document])
    return stream, lengths.cumsum(0) - lengths


def batches(stream: torch.Tensor, separators: torch.Tensor, plan: Plan) -> Iterator[torch.Tensor]:
    """Draw the windows of each step, int64 [windows, sequence].

    A window begins at a document, with or without its separator, because a prompt does too.
    Attention over short windows is cheaper: only the last fifth of the steps sees the full length.
    """
    import torch

    draw = torch.Generator().manual_seed(plan.seed)
    starts = separators[separators < len(stream) - plan.sequence]
    for step in range(plan.steps):
        length = plan.sequence if 5 * step >= 4 * plan.steps else plan.sequence // 2
        rows = (plan.tokens_per_step // length, 1)
        chosen = starts[torch.randint(len(starts), rows, generator=draw)]
        yield stream[chosen + torch.randint(2, rows, generator=draw) + torch.arange(length)]


def learning_rate_at(step: int, plan: Plan) -> float:
    """Rise linearly, then fall along a cosine to a hundredth of the peak."""
    if step < plan.warmup_steps:
        return plan.learning_rate * (step + 1) / plan.warmup_steps
    progress = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return plan.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


def fit(
    model: nn.Module,
    windows: Iterator[torch.Tensor],
    plan: Plan,
    report: Callable[[int, float], None],
) -> None:
    """Train a model in place with AdamW; `report` is told the loss after each step."""
    import torch

    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    model.train()
    for step, ids in enumerate(windows):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, plan)
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        report(step + 1, loss.item())
    model.eval()


# What transformers writes about itself, or about nothing that this model has.
_LIBRARY_KEYS = (
    "transformers_version",
    "backend",
    "use_cache",
    "pretraining_tp",
    "_from_model_config",
    "output_attentions",
    "output_hidden_states",
)


def save(model: Any, tokenizer: Any, folder: Path, stored_name: Callable[[str], str] = str) -> None:
    """Write a bfloat16 checkpoint, with no library version in it.

    A tokenizer of sentence pieces has written itself already.

    Args:
        model: A transformers causal language model.
        tokenizer: Its tokenizer.
        folder: Of the checkpoint.
        stored_name: What the file calls a weight of the model.
    """
    import torch

    rounded = copy.deepcopy(model).to(torch.bfloat16)
    weights = {stored_name(name): weight for name, weight in rounded.state_dict().items()}
    rounded.save_pretrained(folder, state_dict=weights)
    names = ["config.json", "generation_config.json"]
    if not (folder / "tokenizer.model").is_file():
        tokenizer.save_pretrained(folder)
        names.append("tokenizer_config.json")
    for name in names:
        path = folder / name
        settings = json.loads(path.read_text(encoding="utf-8"))
        for key in _LIBRARY_KEYS:
            settings.pop(key, None)
        if name == "tokenizer_config.json":
            # transformers 4 does not know the class name that transformers 5 writes.
            settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        kept = {key: value for key, value in sorted(settings.items()) if value is not None}
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def documents(kind: SmallModel, seed: int, characters: int) -> list[str]:
    """Documents of the corpus in the form of one model."""
    texts = corpus.text_of(seed, characters)
    return [document for text in texts for document in kind.documents(text)]


def main(
    name: Annotated[str, typer.Argument(help="Which small model to train.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    steps: Annotated[int | None, typer.Option(help="Optimizer steps, if not its own.")] = None,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Generate the corpus, train the tokenizer and the model, print the figures."""
    import torch

    kind = small_model(name)
    plan = Plan(steps=steps or kind.steps)
    torch.set_num_threads(threads)
    torch.manual_seed(plan.seed)
    model = kind.build()
    texts = documents(kind, corpus.TRAINING_SEED, plan.characters)
    held_out = documents(kind, corpus.HELD_OUT_SEED, 50_000)
    tokenizer = kind.train_tokenizer(texts, out)
    stream, separators = token_stream(tokenizer, texts, kind.separator)
    typer.echo(f"{sum(weight.numel() for weight in model.parameters())} weights")
    typer.echo(f"{len(texts)} documents, {len(stream)} tokens")

    def report(step: int, loss: float) -> None:
        if step % 50 == 0:
            typer.echo(f"step {step}: loss {loss:.4f}")
        if step % plan.save_every == 0:
            save(model, tokenizer, out, kind.stored_name)

    fit(model, batches(stream, separators, plan), plan, report)
    save(model, tokenizer, out, kind.stored_name)
    typer.echo(str(quality(model, tokenizer, held_out)))


if __name__ == "__main__":
    typer.run(main)
