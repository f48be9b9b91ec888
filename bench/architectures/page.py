"""The findings as a page of documentation, and in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.architectures.findings import PARITY, Finding
from bench.architectures.overrides import UNLIKE_RELEASED

_HEAD = """# Imported architectures

What was found for each of the {count} causal language model types of transformers
{transformers}, tried out by

    python -m bench.architectures --report docs/architectures-imported.md \\
        --tried convert/tried_types.json

with {others}. `convert list architectures` shows the
same for every class, and a slow test makes a sample of it again.

Each type gets a small config made from the defaults of its class (two layers, or one of each kind
of layer, four at most), and a checkpoint of random weights, norms and biases too, saved as
transformers saves it. The checkpoint is then converted as any other, except that classes with a
hand-written architecture (*fast path*) are imported all the same. Of models that see or hear, the
part that text passes through is converted.

{summary}

- **imported**: the model was traced, and the checkpoint has every weight that it reads and no
  other, but for those that text does not reach.
- **onnxruntime**, **OpenVINO**: the largest difference of a logit to that of transformers, in
  standard deviations of its logits, of two sequences as a whole, token by token through the cache,
  and with padding on the left. Up to {parity:g} counts as parity; what is above is bold.
- **attention**, **RoPE**: how many attention operators and how many rotations OpenVINO's CPU
  plugin fuses into one operator each, of how many the model has. A dash: it has none.
- **int8 KL**: mean KL(transformers || `openvino:int8`) in nats over random tokens, in float32
  arithmetic. Random weights are harder to round than trained ones.
- **why not**: what was said where it ended.
"""

_COLUMNS = "| type | imported | onnxruntime | OpenVINO | attention | RoPE | int8 KL | why not |"
_RULE = "|---|---|--:|--:|--:|--:|--:|---|"


def page(findings: Sequence[Finding], versions: Mapping[str, str]) -> str:
    """The page in Markdown."""
    others = [f"{name} {number}" for name, number in versions.items() if name != "transformers"]
    head = _HEAD.format(
        count=len(findings),
        transformers=versions["transformers"],
        others=", ".join(others),
        summary=summary(findings),
        parity=PARITY,
    )
    return "\n".join([head, _COLUMNS, _RULE, *map(_row, findings), ""])


def summary(findings: Sequence[Finding]) -> str:
    """Counts, in one sentence or two."""
    imported = [each for each in findings if each.imported]
    attending = [each for each in imported if each.attention[1]]
    fused = sum(each.is_fused for each in attending)
    share = fused / len(attending) if attending else 0.0
    return (
        f"Of {len(findings)} types, {len(imported)} are imported, "
        f"{sum(each.equal_in_onnxruntime for each in findings)} have parity in onnxruntime and "
        f"{sum(each.equal_in_openvino for each in findings)} in OpenVINO. "
        f"Of {len(attending)} imported ones with attention, {fused} ({share:.0%}) are compiled "
        "with all attention and all rotations fused."
    )


def failures(findings: Sequence[Finding]) -> str:
    """Those with a reason, one line each."""
    lines = [
        f"- {each.kind}: " + "; ".join(f"{stage}: {why}" for stage, why in each.reasons.items())
        for each in findings
        if each.reasons
    ]
    unfused = [
        f"- {each.kind}: attention {of(each.attention)}, RoPE {of(each.rope)}"
        for each in findings
        if each.imported and each.attention[1] and not each.is_fused
    ]
    return "\n".join([summary(findings), "", *lines, "", "Not fused:", *unfused, ""])


def _row(each: Finding) -> str:
    kind = f"`{each.kind}`" + (" (fast path)" if each.fast else "")
    numbers = (difference(each.onnxruntime), difference(each.openvino))
    counts = (of(each.attention), of(each.rope))
    kl = "" if each.int8_kl is None else f"{each.int8_kl:.1e}"
    cells = (kind, "yes" if each.imported else "no", *numbers, *counts, kl, why(each))
    return f"| {' | '.join(cells)} |"


def difference(value: float | None) -> str:
    """Bold where it is too large."""
    if value is None:
        return ""
    return f"{value:.0e}" if value <= PARITY else f"**{value:.0e}**"


def of(counts: Sequence[int]) -> str:
    """So many, of how many."""
    return f"{counts[0]}/{counts[1]}" if counts[1] else "-"


def why(each: Finding) -> str:
    """All reasons, and what else is to be known."""
    said = (UNLIKE_RELEASED[each.kind],) if each.kind in UNLIKE_RELEASED else ()
    reasons = dict.fromkeys((*each.reasons.values(), *said))
    return "; ".join(reasons).replace("|", "\\|").replace("<", "&lt;")
