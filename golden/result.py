"""What the gate found: figures, thresholds, and every reason to fail, as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golden.format import ModelIdentity
from golden.metrics import Summary
from golden.thresholds import Thresholds


@dataclass(frozen=True)
class Parity:
    """Agreement on a list of texts.

    Args:
        checked: How many were compared; 0 if the check does not apply.
        differing: How many differ.
        note: The first difference, or why the check does not apply.
    """

    checked: int
    differing: int
    note: str | None = None


@dataclass(frozen=True)
class Sample:
    """A greedy continuation; texts are None if the recording has no tokenizer."""

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    prompt: str | None
    text: str | None


@dataclass(frozen=True)
class GateResult:
    """The verdict on one artifact.

    Args:
        target: Name of the target whose runtime ran it.
        golden: Which model was recorded.
        overall: Figures over all positions.
        decoded: Figures over the tokens that were fed one by one.
        faithful: Figures against the original with the artifact's own stored weights; None if
            that was not recorded.
        prompts: Figures of each prompt.
        failures: One sentence for each threshold that is not kept; empty if all are.
    """

    target: str
    golden: ModelIdentity
    overall: Summary
    decoded: Summary
    faithful: Summary | None
    prompts: tuple[Summary, ...]
    tokenizer: Parity
    chat: Parity
    sample: Sample
    thresholds: Thresholds
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the artifact may ship."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """A JSON object; floats in 6 significant digits, NaN and infinity as null."""
        plain: dict[str, Any] = _rounded(dataclasses.asdict(self))
        return {"passed": self.passed, **plain}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GateResult:
        """The result that `to_json` wrote."""
        return cls(
            target=values["target"],
            golden=ModelIdentity(**values["golden"]),
            overall=_summary(values["overall"]),
            decoded=_summary(values["decoded"]),
            faithful=None if values["faithful"] is None else _summary(values["faithful"]),
            prompts=tuple(map(_summary, values["prompts"])),
            tokenizer=Parity(**values["tokenizer"]),
            chat=Parity(**values["chat"]),
            sample=Sample(
                prompt_ids=tuple(values["sample"]["prompt_ids"]),
                ids=tuple(values["sample"]["ids"]),
                prompt=values["sample"]["prompt"],
                text=values["sample"]["text"],
            ),
            thresholds=Thresholds.from_mapping(values["thresholds"]),
            failures=tuple(values["failures"]),
        )


def judge(
    overall: Summary,
    decoded: Summary,
    faithful: Summary | None,
    tokenizer: Parity,
    chat: Parity,
    limits: Thresholds,
) -> tuple[str, ...]:
    """A sentence for each figure that is outside its threshold. NaN is outside every one."""
    failures = []
    if overall.non_finite:
        failures.append(
            f"the artifact gives NaN or infinite logits at {overall.non_finite} of "
            f"{overall.positions} positions"
        )
    uppers = [
        ("mean KL", overall.mean_kld, limits.mean_kld),
        ("mean KL of the tokens decoded one by one", decoded.mean_kld, limits.decoded_kld),
        ("perplexity ratio", overall.perplexity_ratio, limits.perplexity_ratio),
    ]
    if faithful is not None:
        name = "mean KL to the original with the artifact's own weights"
        uppers.append((name, faithful.mean_kld, limits.faithful_kld))
    failures += [_above(*upper) for upper in uppers if not upper[1] <= upper[2]]
    if not overall.top1 >= limits.top1:
        failures.append(
            f"top-1 agreement {overall.top1:.4g} is below {limits.top1:.4g} "
            f"by {limits.top1 - overall.top1:.4g}"
        )
    counts = (
        ("tokenizer", "texts", tokenizer, limits.differing_texts),
        ("chat template", "chats", chat, limits.differing_chats),
    )
    failures += [
        f"the {name} differs from the original on {parity.differing} of {parity.checked} "
        f"{things}, {allowed} allowed; first: {parity.note}"
        for name, things, parity, allowed in counts
        if parity.differing > allowed
    ]
    return tuple(failures)


def _above(name: str, value: float, limit: float) -> str:
    if math.isnan(value):
        return f"{name} cannot be computed"
    return f"{name} {value:.4g} is above {limit:.4g} by {value - limit:.4g}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # Below 1e-9 a KL in nats is rounding noise of float32 logits and differs by machine.
        return round(float(f"{value:.6g}"), 9) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def _summary(values: Mapping[str, Any]) -> Summary:
    numbers: dict[str, Any] = {k: math.nan if v is None else v for k, v in values.items()}
    return Summary(**numbers)
