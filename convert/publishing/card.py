"""The model card of a published artifact: how to run it, what was measured, how it was made."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from convert.manifest import Manifest
from convert.publishing.markdown import code, fenced, inline, one_line
from convert.publishing.standing import Standing
from convert.publishing.terms import Terms
from targets.base import Target

_TEMPLATE = Path(__file__).with_name("card.md.j2")
_FLOATS = frozenset({"f32", "f16", "bf16"})
_TASK = "text-generation"


@dataclass(frozen=True)
class CardFacts:
    """What a card says beyond the manifest.

    Args:
        title: Of the page.
        folder: What the commands call a copy; letters, digits and ``-_.`` alone.
        fetch: The commands that make the copy.
        terms: Of the original's licence.
        base_model: The original on the hub, ``organisation/name``, if it is there.
        languages: ISO 639-1 codes.
        standing: What speaks against the artifact.
    """

    title: str
    folder: str
    fetch: str
    terms: Terms
    base_model: str | None
    languages: Sequence[str]
    standing: Standing


def model_card(manifest: Manifest, facts: CardFacts, target: Target) -> str:
    """Render the card; the same manifest and facts give the same text."""
    text = _template().render(
        header=fenced_header(_header(manifest, facts, target)),
        **_opening(manifest, facts, target),
        **_measured(manifest),
        **_making(manifest),
        licence=facts.terms.name,
        concern=facts.terms.concern,
    )
    return text.rstrip("\n") + "\n"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, finalize=inline, undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(code=code, fenced=fenced)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def fenced_header(values: Mapping[str, Any]) -> Markup:
    """The header of a card: YAML between lines of dashes."""
    # A text of several lines could hold the line that ends the header.
    flat = {
        key: one_line(value) if isinstance(value, str) else value for key, value in values.items()
    }
    text = yaml.safe_dump(flat, sort_keys=False, allow_unicode=True, width=1000)
    return Markup(f"---\n{text}---\n")


def _header(manifest: Manifest, facts: CardFacts, target: Target) -> dict[str, Any]:
    header: dict[str, Any] = dict(facts.terms.header())
    if facts.languages:
        header["language"] = list(facts.languages)
    if facts.base_model is not None:
        header["base_model"] = facts.base_model
        if any(tensor.encoding not in _FLOATS for tensor in manifest.tensors):
            header["base_model_relation"] = "quantized"
    if target.library is not None:
        header["library_name"] = target.library
    header["pipeline_tag"] = _TASK
    tags = [manifest.target, manifest.recipe.encoding, manifest.recipe.method, "tricast"]
    header["tags"] = list(dict.fromkeys(one_line(tag) for tag in tags if tag))
    return header


def _opening(manifest: Manifest, facts: CardFacts, target: Target) -> dict[str, Any]:
    names = [file.path for file in manifest.files]
    return {
        "title": facts.title,
        "objections": facts.standing.objections,
        "compared": not facts.standing.objections,
        "summary": target.summary,
        "encoding": _encoding_asked(manifest),
        "nbytes": f"{sum(file.size for file in manifest.files):,}",
        "count": len(names),
        "version": manifest.versions.get("tricast", "unknown"),
        "folder": facts.folder,
        "fetch": facts.fetch,
        "steps": [
            {"text": Markup(step.text), "code": step.code, "language": step.language}
            for step in target.usage(names, facts.folder)
        ],
    }


def _encoding_asked(manifest: Manifest) -> str:
    if manifest.recipe.encoding is not None:
        return manifest.recipe.encoding
    counted = Counter({tensor.name: tensor.bytes for tensor in manifest.tensors})
    largest = {name for name, _ in counted.most_common(1)}
    return next((one.encoding for one in manifest.tensors if one.name in largest), "?")


def _measured(manifest: Manifest) -> dict[str, Any]:
    result = manifest.gate.result
    try:
        if result is not None:
            return _figures(manifest, result)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # only a forced publication gets here, and its card says what is wrong
    return {"figures": (), "positions": 0, "prompts": 0, "sample": None}


def _figures(manifest: Manifest, values: Mapping[str, Any]) -> dict[str, Any]:
    from golden.result import GateResult

    result = GateResult.from_json(values)
    overall, limits = result.overall, result.thresholds
    rows = [
        ("mean KL divergence, nats", f"{overall.mean_kld:.4g}", f"at most {limits.mean_kld:g}"),
        ("same most likely token", f"{overall.top1:.1%}", f"at least {limits.top1:.0%}"),
        (
            "perplexity, relative", f"{overall.perplexity_ratio:.4f}",
            f"at most {limits.perplexity_ratio:g}",
        ),
        (
            "mean KL, decoded token by token", f"{result.decoded.mean_kld:.4g}",
            f"at most {limits.decoded_kld:g}",
        ),
    ]  # fmt: skip
    if result.faithful is not None:
        name = "mean KL to the original with these stored weights"
        limit = f"at most {limits.faithful_kld:g}"
        rows.append((name, f"{result.faithful.mean_kld:.4g}", limit))
    if manifest.gate.weight_error is not None:
        limit = f"at most {limits.weight_error:.2%}"
        rows.append(
            ("largest error of a stored tensor", f"{manifest.gate.weight_error:.2%}", limit)
        )
    for what, parity, allowed in (
        ("texts that the tokenizer encodes alike", result.tokenizer, limits.differing_texts),
        ("chats that the template renders alike", result.chat, limits.differing_chats),
    ):
        if parity.checked:
            alike = f"{parity.checked - parity.differing} of {parity.checked}"
            rows.append((what, alike, f"all but {allowed}" if allowed else "all"))
    return {
        "figures": [{"name": name, "measured": is_, "limit": must} for name, is_, must in rows],
        "positions": overall.positions,
        "prompts": len(result.prompts),
        "sample": result.sample if result.sample.text is not None else None,
    }


def _making(manifest: Manifest) -> dict[str, Any]:
    base, _, revision = manifest.source.label.partition("@")
    sizes: dict[str, list[int]] = {}
    for tensor in manifest.tensors:
        sizes.setdefault(tensor.encoding, []).append(tensor.bytes)
    recipe = manifest.recipe.model_dump(mode="json", exclude_defaults=True)
    return {
        "base": base,
        "revision": revision,
        "digest": manifest.source.digest,
        "origins": _origins(manifest),
        "recipe": yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True),
        "encodings": [
            {"encoding": name, "tensors": len(each), "nbytes": f"{sum(each):,}"}
            for name, each in sorted(sizes.items())
        ],
        "notes": manifest.notes,
        "versions": ", ".join(f"{name} {each}" for name, each in manifest.versions.items()),
    }


def _origins(manifest: Manifest) -> list[str]:
    """Texts and files that figures of the artifact were chosen by."""
    lines = []
    if manifest.weighting is not None:
        lines.append(
            f"scales weighted by {manifest.weighting.tokens} tokens of a text with SHA-256 "
            f"{manifest.weighting.text_sha256}"
        )
    if manifest.imatrix is not None:
        lines.append(
            f"scales weighted by the imatrix {manifest.imatrix.file}, SHA-256 "
            f"{manifest.imatrix.sha256}"
        )
    for what, record in (
        ("codes found by the method", manifest.calibrated),
        ("activations measured", manifest.calibration),
    ):
        if record is not None:
            lines.append(
                f"{what} on {record.tokens} tokens, text with SHA-256 {record.text_sha256}"
            )
    return lines
