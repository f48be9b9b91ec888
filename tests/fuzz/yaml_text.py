"""YAML changed as a tree and as a text: tags, anchors, merges, depth."""

from __future__ import annotations

import random

import yaml

from tests.fuzz.values import TEXTS, changed_tree

_SCALARS = (
    "~", ".nan", ".inf", "-.inf", "1e999", "9" * 5000, "0x", "0b", "0o8", "0x" + "f" * 5000,
    "2001-99-99", "2001-12-14t21:59:43.10-05:00", "!!int abc", "!!float abc", "!!bool maybe",
    "!!timestamp x", "!!binary '=a'", "!!null x", "!!python/object/apply:os.system [true]",
    "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "1:99:99", "190:20:30", "1_000", "_", "-",
    "[" * 2000 + "]" * 2000, "{a: " * 1500 + "1" + "}" * 1500, "[" * 3000, "*x", "&x [*x]",
    "&x {a: *x}", "?",
    "<<", "=", "{<<: [*x, *x]}", '"\\0"', '"\\ud800"', "'", '"', "|", ">+9", "%YAML 9.9", "---",
    "...",
    "\t", "@", "`", "!", "&", "*", "{? [a]: 1}", "{[a, b]: 1}", "{{a: 1}: 1}", "0o" + "7" * 5000,
)  # fmt: skip


def mutated_yaml(rng: random.Random, data: bytes) -> bytes:
    """The text of a document, changed."""
    text = data.decode("utf-8")
    what = rng.randrange(10)
    if what < 5:
        tree = yaml.safe_load(text) if len(text) < 5000 and "&" not in text else {}
        return yaml.safe_dump(changed_tree(rng, tree), allow_unicode=True).encode(
            "utf-8", "replace"
        )
    lines = text.splitlines() or [""]
    at = rng.randrange(len(lines))
    if what < 8:
        key, colon, _ = lines[at].partition(":")
        lines[at] = key + (colon or ":") + " " + rng.choice(_SCALARS + TEXTS)
    elif what == 8:
        lines = [*_bomb(rng), *lines]
    else:
        lines[at:at] = rng.sample(lines, rng.randrange(len(lines) + 1))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _bomb(rng: random.Random) -> list[str]:
    """Aliases of aliases, in sequences, in mappings or in merges."""
    form = rng.choice(("[{}, {}]", "{{a: {}, b: {}}}", "{{<<: [{}, {}]}}"))
    levels = rng.choice((3, 12, 24, 60))
    first = "&l0 {a: 1}" if "<<" in form else "&l0 [1]"
    lines = [f"  l0: {first}"]
    for level in range(1, levels):
        alias = f"*l{level - 1}"
        lines.append(f"  l{level}: &l{level} {form.format(alias, alias)}")
    where = rng.choice(("options", "description", "name", "bomb"))
    return [*(line[2:] for line in lines), f"{where}: *l{levels - 1}"]
