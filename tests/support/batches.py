"""What every runner that holds batches must do: logits of each sequence as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from targets.base import Runner
from tests.support.models import SmallModel, random_ids
from tests.support.ort import relative_error


def require_batches(
    runner: Runner, small: SmallModel, *, tolerance: float, lengths: Sequence[int] = (11, 3, 8)
) -> None:
    """A batch of prompts of these lengths and two more tokens each equal the original.

    Args:
        tolerance: Largest difference, in standard deviations of the logits.
    """
    steps = 2
    texts = random_ids(len(lengths), max(lengths) + steps, small.config.vocab)
    found = [runner.begin([row[:size].tolist() for row, size in zip(texts, lengths, strict=True)])]
    for step in range(steps):
        tokens = [row[size + step] for row, size in zip(texts, lengths, strict=True)]
        found.append(runner.advance([int(token) for token in tokens]))
    for number, size in enumerate(lengths):
        whole = small.logits(texts[number : number + 1, : size + steps])[0]
        together = np.stack([logits[number] for logits in found])
        assert relative_error(together, whole[size - 1 :]) < tolerance
