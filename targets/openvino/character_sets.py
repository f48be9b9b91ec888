"""Sets within sets of characters, written for a regex library that has none.

Hugging Face's tokenizers read ``[^a[bc]]`` as Oniguruma does: no a, b or c. OpenVINO's read it with
PCRE2, for which the set ends at the first bracket; and where a pattern is none to PCRE2 (BLOOM's
then has a parenthesis too many), its tokenizer does not split the text, and does not say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.errors import UnsupportedTokenizerError

Step = Mapping[str, Any]


def with_flat_sets(step: Step) -> dict[str, Any]:
    """A pre-tokenizer of a tokenizer.json, in whose patterns no set holds another.

    Raises:
        UnsupportedTokenizerError: A set cannot be written so.
    """
    flat = dict(step)
    if "pretokenizers" in flat:
        flat["pretokenizers"] = [with_flat_sets(inner) for inner in flat["pretokenizers"]]
    pattern = flat.get("pattern")
    if isinstance(pattern, Mapping) and "Regex" in pattern:
        flat["pattern"] = {"Regex": flat_sets(pattern["Regex"])}
    return flat


def flat_sets(pattern: str) -> str:
    """An Oniguruma pattern with the members of inner sets among those of the outer one.

    Raises:
        UnsupportedTokenizerError: An inner set is negated, or sets are intersected.
    """
    written = []
    depth = at = 0
    while at < len(pattern):
        token = _token(pattern, at, depth)
        at += len(token)
        if token == "[":
            depth += 1
            token = "" if depth > 1 else token
        elif token == "]" and depth:
            depth -= 1
            token = "" if depth else token
        elif (token == "[^" and depth) or (token == "&&" and depth):
            raise _without_a_form(pattern)
        elif token == "[^":
            depth = 1
        written.append(token)
    return "".join(written)


def _token(pattern: str, at: int, depth: int) -> str:
    """What stands at a place of a pattern: as much as has a meaning of its own for sets."""
    rest = pattern[at:]
    if rest.startswith("\\"):
        return rest[:2]
    if depth and rest.startswith("[:") and ":]" in rest:
        return rest[: rest.index(":]") + 2]
    two = rest[:2]
    return two if two in {"[^", "&&"} else rest[:1]


def _without_a_form(pattern: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(
        "OpenVINO has no form for a pattern of the tokenizer",
        expected="sets of characters without a negated set or an intersection within",
        found=pattern,
        remedy="convert without it: --no-tokenizer",
    )
