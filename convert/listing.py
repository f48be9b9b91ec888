"""What `convert list` shows, computed from the registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from convert.errors import UsageError

Listing = Iterator[tuple[str, str]]


def listing(what: str) -> Listing:
    """Names and meanings of the recipes, targets, passes, encodings or architectures.

    Raises:
        UsageError: ``what`` is none of these.
    """
    if what not in _LISTINGS:
        raise UsageError(f"cannot list {what!r}", expected=f"one of {', '.join(_LISTINGS)}")
    return _LISTINGS[what]()


def _recipes() -> Listing:
    from convert.recipe import load_recipe, shipped_recipes

    for name in shipped_recipes():
        yield name, load_recipe(name).description


def _targets() -> Listing:
    from targets import TARGETS, target

    for name in TARGETS:
        one = target(name)
        options = f"; options {', '.join(one.option_names)}" if one.option_names else ""
        yield name, f"{one.summary}; stores {', '.join(one.encodings)}{options}"


def _passes() -> Listing:
    from passes.catalogue import PASSES

    for one in PASSES:
        summary = (one.__doc__ or "").strip().splitlines()[0]
        yield one.name, f"{'exact' if one.exact else 'approximate'}: {summary}"


def _encodings() -> Listing:
    from passes.encodings import ENCODINGS, encoding
    from targets import TARGETS, target

    for name in ENCODINGS:
        bits = encoding(name).bits_per_weight(_COLUMNS)
        yield name, f"{bits:.3f} bits a weight in rows of {_COLUMNS}"
    for one in map(target, TARGETS):
        for name, main in one.mixes.items():
            if name not in ENCODINGS:
                yield name, f"{one.name}: mostly {main}, other tensors by rules of the runtime"


def _architectures() -> Listing:
    from convert.architectures import ARCHITECTURES

    for architecture in ARCHITECTURES:
        for name in architecture.names:
            yield name, (architecture.__doc__ or "").strip().splitlines()[0]


_COLUMNS = 4096

_LISTINGS: dict[str, Callable[[], Listing]] = {
    "recipes": _recipes,
    "targets": _targets,
    "passes": _passes,
    "encodings": _encodings,
    "architectures": _architectures,
}
