"""Which layers look back through a sliding window."""

from __future__ import annotations

from convert.architectures.dialect import ConfigReader

FULL, SLIDING = "full_attention", "sliding_attention"


def read_layer_types(reader: ConfigReader, layers: int) -> list[str] | None:
    """``layer_types`` of the config, if it has any.

    Raises:
        UnsupportedConfigError: A kind of attention that is not implemented.
        BrokenInputError: Not a list of one string a layer.
    """
    kinds = reader.raw("layer_types")
    if kinds is None:
        return None
    strings = isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)
    if not strings or len(kinds) != layers:
        raise reader.broken("layer_types", f"a list of {layers} strings, one a layer")
    if not set(kinds) <= {FULL, SLIDING}:
        raise reader.unsupported("layer_types", f"{FULL} or {SLIDING}")
    return [str(kind) for kind in kinds]


def require_layer_types(reader: ConfigReader, windows: tuple[int | None, ...]) -> None:
    """Check a ``layer_types`` that the architecture itself does not read.

    Raises:
        UnsupportedConfigError: It asks for other windows than the architecture has.
    """
    kinds = read_layer_types(reader, len(windows))
    expected = [FULL if window is None else SLIDING for window in windows]
    if kinds is not None and kinds != expected:
        raise reader.unsupported("layer_types", f"{expected[0]} in every layer")


def alternating_windows(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
    """Windows as Qwen2 and Qwen3 state them.

    Without ``use_sliding_window`` there is none. Otherwise ``layer_types`` says which layers
    have one, or, without it, all from ``max_window_layers`` on.
    """
    size = reader.optional_integer("sliding_window") if reader.states("sliding_window") else 4096
    first = reader.integer("max_window_layers", 28, minimum=0)
    window = size if reader.flag("use_sliding_window") else None
    kinds = read_layer_types(reader, layers)
    if kinds is None:
        return tuple(window if layer >= first else None for layer in range(layers))
    if window is None and SLIDING in kinds:
        raise reader.broken("layer_types", f"{FULL} alone, as no sliding window is in use")
    return tuple(window if kind == SLIDING else None for kind in kinds)
