"""What the gate found: figures, thresholds, and every reason to fail, as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golden.details import Details
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
class Check:
    """One figure of the gate beside its threshold.

    Args:
        name: What is measured.
        holds: Whether the threshold is kept.
        said: A sentence for people.
        value: The figure; None where it cannot be computed, or does not apply.
        limit: The threshold.
        applies: Whether there was something to compare.
    """

    name: str
    holds: bool
    said: str
    value: float | None = None
    limit: float | None = None
    applies: bool = True


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
        details: What else was seen; not a part of the verdict, nor of its JSON.
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
    details: Details | None = None

    @property
    def passed(self) -> bool:
        """Whether the artifact may ship."""
        return not self.failures

    def checks(self) -> tuple[Check, ...]:
        """Every figure beside its threshold."""
        return checks(
            self.overall, self.decoded, self.faithful, self.tokenizer, self.chat, self.thresholds
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; floats in 6 significant digits, NaN and infinity as null."""
        verdict = dataclasses.asdict(dataclasses.replace(self, details=None))
        del verdict["details"]
        plain: dict[str, Any] = _rounded(verdict)
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
    found = checks(overall, decoded, faithful, tokenizer, chat, limits)
    return tuple(check.said for check in found if not check.holds)


def checks(
    overall: Summary,
    decoded: Summary,
    faithful: Summary | None,
    tokenizer: Parity,
    chat: Parity,
    limits: Thresholds,
) -> tuple[Check, ...]:
    """Every figure beside its threshold, in the order in which failures are told."""
    found = [_finite(overall)]
    uppers = [
        ("mean KL", overall.mean_kld, limits.mean_kld),
        ("mean KL of the tokens decoded one by one", decoded.mean_kld, limits.decoded_kld),
        ("perplexity ratio", overall.perplexity_ratio, limits.perplexity_ratio),
    ]
    if faithful is not None:
        name = "mean KL to the original with the artifact's own weights"
        uppers.append((name, faithful.mean_kld, limits.faithful_kld))
    found += [at_most(*upper) for upper in uppers]
    found.append(_agreement(overall.top1, limits.top1))
    counts = (
        ("tokenizer", "texts", tokenizer, limits.differing_texts),
        ("chat template", "chats", chat, limits.differing_chats),
    )
    found += [_parity(*count) for count in counts]
    return tuple(found)


def at_most(name: str, value: float, limit: float) -> Check:
    """A figure that may not be above its threshold."""
    if math.isnan(value):
        return Check(name, False, f"{name} cannot be computed", limit=limit)
    if value <= limit:
        return Check(name, True, f"{name} {value:.4g}, at most {limit:.4g}", value, limit)
    return Check(
        name, False, f"{name} {value:.4g} is above {limit:.4g} by {value - limit:.4g}", value, limit
    )


def _finite(overall: Summary) -> Check:
    name, bad = "finite logits", overall.non_finite
    said = (
        f"the artifact gives NaN or infinite logits at {bad} of {overall.positions} positions"
        if bad
        else f"all logits of {overall.positions} positions are finite"
    )
    return Check(name, not bad, said, bad, 0)


def _agreement(value: float, limit: float) -> Check:
    name = "top-1 agreement"
    if value >= limit:
        return Check(name, True, f"{name} {value:.4g}, at least {limit:.4g}", value, limit)
    said = f"{name} {value:.4g} is below {limit:.4g} by {limit - value:.4g}"
    return Check(name, False, said, value, limit)


def _parity(name: str, things: str, parity: Parity, allowed: int) -> Check:
    if not parity.checked:
        return Check(name, True, f"the {name} was not compared: {parity.note}", applies=False)
    if parity.differing > allowed:
        said = (
            f"the {name} differs from the original on {parity.differing} of {parity.checked} "
            f"{things}, {allowed} allowed; first: {parity.note}"
        )
    else:
        said = f"{parity.checked - parity.differing} of {parity.checked} {things} equal"
    return Check(name, parity.differing <= allowed, said, parity.differing, allowed)


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
