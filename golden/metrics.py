"""How far an artifact's next-token distributions are from the original's, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_ELEMENTS = 1 << 20
"""Logits converted to float64 at once: 8 MiB an array, whatever the vocabulary."""


@dataclass(frozen=True)
class PromptFigures:
    """Figures at every position of one prompt of S tokens.

    Args:
        kld: KL(original || artifact) in nats, float64 ``[S]``; NaN where not finite.
        agrees: Whether both rank the same token first, bool ``[S]``.
        nll_original: Negative log-likelihood of the prompt's next token in nats, ``[S - 1]``.
        nll_artifact: The same by the artifact; NaN where not finite.
        finite: Whether every logit of the artifact is finite, bool ``[S]``.
        first: The token that each ranks first: the original's, the artifact's, int64 ``[2, S]``.
        shares: Probability of these tokens, by the original of its own, by the artifact of its
            own and of the original's, float64 ``[3, S]``; NaN where not finite.
    """

    kld: NDArray[np.float64]
    agrees: NDArray[np.bool_]
    nll_original: NDArray[np.float64]
    nll_artifact: NDArray[np.float64]
    finite: NDArray[np.bool_]
    first: NDArray[np.int64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Figures over many positions; NaN where no finite position is left.

    Args:
        positions: How many next-token distributions were compared.
        non_finite: How many of them hold a NaN or an infinity; the other figures leave them out.
        mean_kld: Mean KL(original || artifact) in nats.
        max_kld: Its maximum.
        top1: Fraction of positions where both rank the same token first.
        perplexity_ratio: exp(mean NLL of the artifact - mean NLL of the original).
    """

    positions: int
    non_finite: int
    mean_kld: float
    max_kld: float
    top1: float
    perplexity_ratio: float


def compare_logits(
    original: NDArray[np.float32], artifact: NDArray[np.float32], ids: Sequence[int]
) -> PromptFigures:
    """Compare two arrays of logits ``[S, vocab]`` for the prompt ``ids`` ``[S]``.

    With p, q the two softmax distributions, KL = sum p (log p - log q); see Kullback and
    Leibler, 1951. The log-softmax subtracts the maximum first.
    """
    if original.shape != artifact.shape or len(ids) != len(original):
        raise ValueError(f"logits {original.shape} and {artifact.shape} for {len(ids)} tokens")
    length, vocab = original.shape
    kld = np.full(length, np.nan)
    nll = np.full((2, length), np.nan)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(artifact).all(axis=1))
    first = np.stack([original.argmax(axis=1), artifact.argmax(axis=1)])
    shares = np.full((3, length), np.nan)
    agrees = finite & (first[0] == first[1])
    targets = np.append(np.asarray(ids[1:], np.int64), 0)
    step = max(1, CHUNK_ELEMENTS // vocab)
    for start in range(0, length, step):
        rows = slice(start, min(start + step, length))
        log_p = _log_softmax(original[rows])
        # A row that is not finite stays NaN; its arithmetic must not warn.
        log_q = _log_softmax(np.where(finite[rows, None], artifact[rows], np.float32(0)))
        divergence = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
        kld[rows] = np.where(finite[rows], np.maximum(divergence, 0), np.nan)
        every = np.arange(log_p.shape[0])
        nll[0, rows] = -log_p[every, targets[rows]]
        nll[1, rows] = np.where(finite[rows], -log_q[every, targets[rows]], np.nan)
        shares[0, rows] = np.exp(log_p[every, first[0, rows]])
        for row, tokens in ((1, first[1, rows]), (2, first[0, rows])):
            shares[row, rows] = np.where(finite[rows], np.exp(log_q[every, tokens]), np.nan)
    return PromptFigures(kld, agrees, nll[0, :-1], nll[1, :-1], finite, first, shares)


def summarize(prompts: Sequence[PromptFigures]) -> Summary:
    """Pool the positions of several prompts, each position with the same weight."""
    kld = np.concatenate([figures.kld for figures in prompts])
    agrees = np.concatenate([figures.agrees for figures in prompts])
    finite = np.concatenate([figures.finite for figures in prompts])
    difference = np.concatenate([f.nll_artifact - f.nll_original for f in prompts])
    difference = difference[~np.isnan(difference)]
    usable = kld[finite]
    with np.errstate(over="ignore"):
        ratio = float(np.exp(difference.mean())) if difference.size else float("nan")
    return Summary(
        positions=len(kld),
        non_finite=int(np.count_nonzero(~finite)),
        mean_kld=float(usable.mean()) if usable.size else float("nan"),
        max_kld=float(usable.max()) if usable.size else float("nan"),
        top1=float(agrees[finite].mean()) if usable.size else float("nan"),
        perplexity_ratio=ratio,
    )


def tail(figures: PromptFigures, count: int) -> PromptFigures:
    """The last ``count`` positions of a prompt."""
    keep = slice(max(0, len(figures.kld) - count), None)
    inner = slice(keep.start, None)
    return PromptFigures(
        figures.kld[keep],
        figures.agrees[keep],
        figures.nll_original[inner],
        figures.nll_artifact[inner],
        figures.finite[keep],
        figures.first[:, keep],
        figures.shares[:, keep],
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-softmax over the last axis, ``[n, vocab]`` to float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
