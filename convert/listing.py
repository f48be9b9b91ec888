"""What `convert list` shows, computed from the registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from convert.errors import ExtensionError, UsageError

if TYPE_CHECKING:
    from passes.base import Pass

Listing = Iterator[tuple[str, str]]


def listing(what: str) -> Listing:
    """Names and meanings of the recipes, targets, passes, encodings, architectures or hardware.

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
    from targets import target, target_names

    for name in target_names():
        try:
            one = target(name)
        except ExtensionError as error:
            yield name, _broken(error)
            continue
        options = f"; options {', '.join(one.option_names)}" if one.option_names else ""
        yield name, f"{one.summary}; stores {', '.join(one.encodings)}{options}"


def _passes() -> Listing:
    from passes.catalogue import PASSES, added_pass, added_pass_names

    added: list[type[Pass]] = []
    for name in added_pass_names():
        try:
            added.append(added_pass(name))
        except ExtensionError as error:
            yield name, _broken(error)
    for one in (*PASSES, *added):
        summary = _first_line(one)
        yield one.name, f"{'exact' if one.exact else 'approximate'}: {summary}"


def _encodings() -> Listing:
    from passes.encodings import encoding, encoding_names
    from targets import TARGETS, target

    known = encoding_names()
    for name in known:
        try:
            bits = encoding(name).bits_per_weight(_COLUMNS)
        except ExtensionError as error:
            yield name, _broken(error)
            continue
        yield name, f"{bits:.3f} bits a weight in rows of {_COLUMNS}"
    for one in map(target, TARGETS):
        for name, main in one.mixes.items():
            if name not in known:
                yield name, f"{one.name}: mostly {main}, other tensors by rules of the runtime"


def _architectures() -> Listing:
    from convert.architectures import architecture_named, architecture_names
    from convert.importing.tried import importable

    for name in architecture_names():
        try:
            said = f"fast path: {_first_line(architecture_named(name))}"
        except ExtensionError as error:
            said = _broken(error)
        yield name, said
    yield from importable(architecture_names(), dict(_chosen_types()))


def _chosen_types() -> Iterator[tuple[str, frozenset[str]]]:
    """The imported types that each target takes which writes no graphs."""
    from targets import target, target_names

    for name in target_names():
        with suppress(ExtensionError):  # `convert list targets` says why
            yield name, target(name).imported_families


def _first_line(what: object) -> str:
    return next(iter((what.__doc__ or "").strip().splitlines()), "of another package")


def _broken(error: ExtensionError) -> str:
    return f"cannot be used: {error.what}; found {error.found}"


def _hardware() -> Listing:
    from convert.hardware.catalogue import THIS, hardware_names, load_hardware

    for name in hardware_names():
        if name == THIS:
            yield name, "the machine that this runs on, measured"
            continue
        one = load_hardware(name)
        memory, bandwidth = one.memory.value / 1e9, one.bandwidth.value / 1e9
        yield (
            name,
            f"{one.title}: {one.devices} x {memory:,.0f} GB, {bandwidth:,.0f} GB/s a {one.device}",
        )


_COLUMNS = 4096

_LISTINGS: dict[str, Callable[[], Listing]] = {
    "recipes": _recipes,
    "targets": _targets,
    "passes": _passes,
    "encodings": _encodings,
    "architectures": _architectures,
    "hardware": _hardware,
}
