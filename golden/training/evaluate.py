"""How well a small model predicts text that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Quality:
    """Next-token figures, averaged over every position that has a next token.

    Attributes:
        perplexity: e to the mean cross-entropy in nats.
        top1_mass: Mean probability of the likeliest token: how peaked the distribution is.
        accuracy: How often the likeliest token is the right one.
    """

    perplexity: float
    top1_mass: float
    accuracy: float


def next_token_logits(
    model: nn.Module, tokenizer: Any, texts: list[str]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Run a model over texts, one at a time.

    Args:
        model: A transformers causal language model.
        tokenizer: Its tokenizer.
        texts: Texts of at least two tokens that fit the model's positions.

    Yields:
        Logits float [tokens - 1, vocabulary] and the ids int64 [tokens - 1] that came next.
    """
    import torch

    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, :-1].float()
        yield logits, ids[0, 1:]


def quality(model: nn.Module, tokenizer: Any, texts: list[str]) -> Quality:
    """Measure a model on texts (see `next_token_logits` for the arguments)."""
    import torch

    loss = mass = right = 0.0
    count = 0
    for logits, following in next_token_logits(model, tokenizer, texts):
        likeliest, predicted = logits.softmax(-1).max(-1)
        loss += float(torch.nn.functional.cross_entropy(logits, following, reduction="sum"))
        mass += float(likeliest.sum())
        right += float((predicted == following).sum())
        count += len(following)
    return Quality(float(torch.tensor(loss / count).exp()), mass / count, right / count)
