"""What was found about released models, as a page of documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.architectures.findings import PARITY, Finding
from bench.architectures.page import difference, of, why
from bench.architectures.release_trial import PLANNED
from bench.architectures.releases import Release

_HEAD = """# Models as they were released

The [table of model types](architectures-imported.md) has configs made from defaults. This one has
configs of {count} released models, of {kinds} types: what their config.json says, keys of old
dialects, `auto_map` and `quantization_config` among them. Tried out by

    python -m bench.architectures --released --report docs/architectures-released.md

with transformers {transformers}, {others}. No weights were downloaded. The configs are
facts quoted in public source code (`bench/architectures/released/` says where each was read; some
sources leave keys out), not fetched from the hub.

{summary}

- **plan**: `convert plan` from the whole config.json, at full size: weights, and seconds on two
  cores that others used too, so a few are far too many (the first plan traces the model, which is
  kept for the next).
- **onnxruntime**, **OpenVINO**, **fused**, **int8 KL**: as in the other table, of a small
  checkpoint with random weights whose config.json has every key as released but sizes, and no
  `quantization_config`. By the way a user's checkpoint goes: hand-written where there is one.
- **why not**: what was said where it ended.
"""

_COLUMNS = (
    "| model | type | plan `openvino:int8` | plan `gguf:q4_k_m` | onnxruntime | OpenVINO | fused "
    "| int8 KL | why not |"
)
_RULE = "|---|---|---|---|--:|--:|--:|--:|---|"


def released_page(
    findings: Sequence[Finding], known: Mapping[str, Release], versions: Mapping[str, str]
) -> str:
    """The page in Markdown.

    Args:
        findings: Of released models.
        known: All of them by name.
        versions: Of packages.
    """
    others = [f"{name} {number}" for name, number in versions.items() if name != "transformers"]
    head = _HEAD.format(
        count=len(findings),
        kinds=len({known[each.kind].kind for each in findings}),
        transformers=versions["transformers"],
        others=", ".join(others),
        summary=_summary(findings),
    )
    rows = [_row(each, known[each.kind]) for each in findings]
    return "\n".join([head, _COLUMNS, _RULE, *rows, ""])


def _summary(findings: Sequence[Finding]) -> str:
    planned = sum("weights" in each.plans.get(PLANNED[0], "") for each in findings)
    quantized = sum("quantized already" in each.plans.get(PLANNED[0], "") for each in findings)
    equal = sum(each.equal_in_onnxruntime and each.equal_in_openvino for each in findings)
    return (
        f"Of {len(findings)} models, {planned} are planned for OpenVINO as they are, and "
        f"{quantized} are refused because they were released quantized; small ones of {equal} "
        f"agree with transformers in onnxruntime and OpenVINO to {PARITY:g} of the logits' "
        "deviation. What is refused is refused by name."
    )


def _row(each: Finding, release: Release) -> str:
    kl = "" if each.int8_kl is None else f"{each.int8_kl:.1e}"
    fused = f"{of(each.attention)}, {of(each.rope)}" if each.imported else ""
    numbers = (difference(each.onnxruntime), difference(each.openvino))
    plans = (_escaped(each.plans.get(to, "")) for to in PLANNED)
    cells = (each.kind, f"`{release.kind}`", *plans, *numbers, fused, kl, why(each))
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
