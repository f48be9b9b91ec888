"""The gate's verdict in a few lines for people."""

from __future__ import annotations

from convert.weight_errors import WeightError
from golden.result import GateResult, Parity
from golden.thresholds import Thresholds


def gate_lines(result: GateResult) -> list[str]:
    """Figures beside their thresholds, parity, and what the artifact says."""
    figures, limits = result.overall, result.thresholds
    lines = [
        f"mean KL {figures.mean_kld:.4g} nats (at most {limits.mean_kld:g}), "
        f"top-1 {figures.top1:.1%} (at least {limits.top1:.0%}), "
        f"perplexity ratio {figures.perplexity_ratio:.4f} (at most {limits.perplexity_ratio:g}) "
        f"over {figures.positions} positions",
        f"decoded token by token: mean KL {result.decoded.mean_kld:.4g} "
        f"(at most {limits.decoded_kld:g})",
        _parity_line("tokenizer", "texts", result.tokenizer),
        _parity_line("chat template", "chats", result.chat),
    ]
    if result.faithful is not None:
        lines.append(
            "against the original with the same stored weights: mean KL "
            f"{result.faithful.mean_kld:.4g} (at most {limits.faithful_kld:g})"
        )
    if result.sample.text is not None:
        lines.append(f"sample: {result.sample.prompt}|{result.sample.text}")
    return [" ".join(line.split()) for line in lines]


def _parity_line(name: str, things: str, parity: Parity) -> str:
    if not parity.checked:
        return f"{name}: not checked ({parity.note})"
    note = f" ({parity.note})" if parity.note else ""
    return f"{name}: {parity.checked - parity.differing} of {parity.checked} {things} equal{note}"


def weight_line(worst: WeightError, limits: Thresholds) -> str:
    """The stored tensor that differs most, beside the threshold."""
    return (
        f"stored weights: {worst.name} differs most, by {worst.relative_rms:.2%} "
        f"(at most {limits.weight_error:.2%})"
    )
