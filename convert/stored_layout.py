"""From the weights that an artifact stores, in the graph's layout, back to the checkpoint's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from convert.weights import Floats, Weight


def in_checkpoint_layout(
    weights: Mapping[str, Weight], stored: Iterable[tuple[str, Floats]]
) -> Iterator[tuple[str, Floats]]:
    """Undo the rearrangement of weights.

    Holds those tensors in memory of which a part is still to come.

    Args:
        weights: The graph's, by name.
        stored: Name and values of each as an artifact has them; unknown names pass unchanged.

    Yields:
        Name and values of the checkpoint's tensors, each when all its rows are there.

    Raises:
        UnsupportedError: A weight was computed from several, which do not follow from it.
    """
    parts: dict[str, Floats] = {}
    missing: dict[str, int] = {}
    for name, values in stored:
        weight = weights.get(name)
        if weight is None or weight.shape != values.shape:
            yield name, values
            continue
        for source, start, rows in weight.put_back(values.reshape(weight.rows, weight.columns)):
            if source.name not in parts:
                parts[source.name] = np.empty((source.rows, source.columns), np.float32)
                missing[source.name] = source.rows
            parts[source.name][start : start + len(rows)] = rows
            missing[source.name] -= len(rows)
            if missing[source.name] == 0:
                yield source.name, parts.pop(source.name).reshape(source.shape)
