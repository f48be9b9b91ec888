"""Every imported model type that has a description runs in llama.cpp as in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.parameter import Parameter
from targets.gguf.file_names import FILE
from targets.gguf.imported.runs import RUNS
from targets.gguf.run import GgufRunner
from targets.gguf.target import GgufTarget
from tests.support.imported import logits_of, original
from tests.targets.gguf.checkpoints import VOCABULARY
from tests.targets.gguf.imported.models import config_of, convert, request, round_gelu

CLOSE = 5e-5
"""Of the logits' standard deviation, as for the hand-written architectures."""

ROUNDED_GELU = 5e-3
"""The same where ggml looks GELU up in a table of float16."""

TOKENS, PREFILL = 48, 40


def apart(path: Path, model: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Largest difference of logits at each token, in their deviations.

    Returns:
        To the model as it is, then with GELU as ggml computes it.
    """
    ids = np.random.default_rng(0).integers(3, VOCABULARY, (1, TOKENS))
    expected = logits_of(model, ids)[0]
    with GgufRunner(path, threads=1, exact_cache=True) as runner:
        found = runner.logits(ids[0].tolist(), PREFILL)
    rounded = logits_of(model, ids)[0] if round_gelu(model) else expected
    one, other = (np.abs(found - each).max(-1) / expected.std() for each in (expected, rounded))
    return one, other


@pytest.mark.slow
@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("model_type", RUNS)
def test_logits_are_those_of_transformers(model_type: str, tmp_path: Path) -> None:
    raw = config_of(model_type)
    model = original(raw)
    convert(raw, model, tmp_path, tmp_path / "out")
    exact, rounded = apart(tmp_path / "out" / FILE, model)
    if np.array_equal(exact, rounded):
        assert exact.max() < CLOSE
    else:
        assert exact.max() < ROUNDED_GELU
        # Where both sides round to the same float16, nothing is left; some rows have a neighbour.
        assert np.median(rounded) < CLOSE


@pytest.mark.slow
@pytest.mark.usefixtures("proven_once")
@pytest.mark.parametrize("model_type", ["deepseek_v3", "gpt2", "gpt_oss", "granite", "phi3"])
def test_stored_weights_are_read_back_as_the_graph_has_them(
    model_type: str, tmp_path: Path
) -> None:
    raw = config_of(model_type)
    model = original(raw)
    convert(raw, model, tmp_path, tmp_path / "out", "q8_0")
    graph = request(raw, model, tmp_path, "q8_0").model.graph
    stored = dict(GgufTarget().stored_weights(tmp_path / "out"))
    held = {
        name
        for name in graph.initializers
        if isinstance(graph.initializers[name].const_value, Parameter)
    }
    assert stored.keys() == held
    for name, values in stored.items():
        if "wpe" not in name:  # a table of positions is stored in float32
            np.testing.assert_array_equal(values, graph.initializers[name].const_value.numpy())
