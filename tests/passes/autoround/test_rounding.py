"""Signed gradient descent over roundings: better than the nearest, and stored as it was trained."""

import numpy as np
import pytest
import torch

from passes.autoround.rounding import RoundedWeight, Task, rounded
from passes.encodings import encoding
from passes.encodings.grids import grid_of

NAMES = ("int4_g16", "int4_sym_g16", "nf4_g16", "q4_0", "q4_1")
COLUMNS = 256


def some(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def task_of(name, *, tokens=40):
    """A linear layer with inputs that go together, so that errors can make up for each other."""
    weight = some(24, COLUMNS)
    mixed = some(2, tokens, 40, seed=1) @ some(40, COLUMNS, seed=2)
    sources = [torch.from_numpy(each[None]) for each in mixed]
    wanted = [each @ torch.from_numpy(weight).T for each in sources]

    def run(text, source, weights):
        return source @ weights["w"].T

    grid = grid_of(encoding(name))
    moments = np.mean(mixed.reshape(-1, COLUMNS) ** 2, 0, dtype=np.float64)
    return Task({"w": weight}, {"w": grid}, {"w": moments}, sources, wanted, run)


def loss(task, name, planes):
    stored = torch.from_numpy(encoding(name).decode(planes, *task.weights["w"].shape))
    outputs = [task.run(0, source, {"w": stored}) for source in task.sources]
    return sum(
        float(((output - wanted) ** 2).sum())
        for output, wanted in zip(outputs, task.wanted, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_nearer_than_with_the_nearest_codes(name):
    task = task_of(name)
    nearest = rounded(task, 0, iterations=0)["w"]
    weighted = encoding(name).weighted(task.moments["w"]).encode(task.weights["w"])
    assert loss(task, name, nearest) == pytest.approx(loss(task, name, weighted), rel=0.02)
    found = rounded(task, 0, iterations=60)["w"]
    assert loss(task, name, found) < 0.75 * loss(task, name, nearest)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_is_what_was_trained_with(name):
    task = task_of(name)
    held = RoundedWeight(task.weights["w"], task.grids["w"], task.moments["w"])
    for seed in range(5):
        held.step(torch.from_numpy(some(24, COLUMNS, seed=seed)), 0.05)
    stored = encoding(name).decode(held.planes(), 24, COLUMNS)
    np.testing.assert_allclose(held.decoded().numpy(), stored, rtol=1e-6, atol=1e-7)
    assert not np.array_equal(
        stored,
        encoding(name).decode(
            RoundedWeight(task.weights["w"], task.grids["w"], task.moments["w"]).planes(),
            24,
            COLUMNS,
        ),
    )


def test_twice_gives_the_same():
    first, second = (rounded(task_of("int4_g16"), 3, iterations=5)["w"] for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_weights_of_zero_stay_zero():
    task = task_of("int4_g16")
    task.weights["w"][:, :16] = 0
    stored = encoding("int4_g16").decode(rounded(task, 0, iterations=3)["w"], 24, COLUMNS)
    assert np.isfinite(stored).all() and not stored[:, :16].any()
