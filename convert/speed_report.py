"""Speeds as text: two lines of one, with its times by kind, or a table of many; and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from convert.benching import Speed
from convert.errors import UsageError


def parse_counts(text: str, option: str) -> list[int]:
    """The whole numbers of a list such as ``128,512,1024``, sorted, each once.

    Raises:
        UsageError: One is none, or not above zero.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,9}", part) and int(part) for part in parts):
        raise UsageError(
            f"{option} takes whole numbers above zero",
            expected="one, or several such as 128,512,1024",
            found=repr(text),
        )
    return sorted({int(part) for part in parts})


def as_json(speeds: Sequence[Speed]) -> str:
    """All figures: an object for one speed, a list for more."""
    objects = [_object(speed) for speed in speeds]
    return json.dumps(objects[0] if len(objects) == 1 else objects, indent=1)


def as_text(speeds: Sequence[Speed]) -> str:
    """Lines for people."""
    return _of_one(speeds[0]) if len(speeds) == 1 else _table(speeds)


def _object(speed: Speed) -> dict[str, Any]:
    return {**asdict(speed), "tokens_per_second": speed.tokens_per_second}


def _of_one(speed: Speed) -> str:
    prompts = f"a prompt of {speed.prompt_tokens} tokens"
    if speed.batch > 1:
        prompts = f"{speed.batch} prompts of {speed.prompt_tokens} tokens"
    lines = [
        f"first token: {speed.first_ms:.1f} ms for {prompts} (p90 {speed.first_p90_ms:.1f})",
        f"next token:  {speed.next_ms:.2f} ms, median of {speed.new_tokens} "
        f"(p90 {speed.next_p90_ms:.2f}), {speed.tokens_per_second:.1f} tokens/s",
    ]
    if speed.decode_by_kind:
        lines.append(f"\n{'':22}{'prompt':>18}{'next token':>18}")
    for kind in sorted(speed.prompt_by_kind.keys() | speed.decode_by_kind.keys()):
        shares = [_share(kind, of) for of in (speed.prompt_by_kind, speed.decode_by_kind)]
        lines.append(f"{kind:22}{shares[0]:>18}{shares[1]:>18}")
    return "\n".join(lines)


def _table(speeds: Sequence[Speed]) -> str:
    rows = [("batch", "prompt", "first token, ms", "p90", "next token, ms", "p90", "tokens/s")]
    rows += [
        (
            f"{speed.batch}",
            f"{speed.prompt_tokens}",
            f"{speed.first_ms:.1f}",
            f"{speed.first_p90_ms:.1f}",
            f"{speed.next_ms:.2f}",
            f"{speed.next_p90_ms:.2f}",
            f"{speed.tokens_per_second:.1f}",
        )
        for speed in speeds
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def _share(kind: str, times: Mapping[str, float]) -> str:
    spent = times.get(kind, 0)
    return f"{spent / 1e3:.3f} ms {spent / max(sum(times.values()), 1e-9):6.1%}"
