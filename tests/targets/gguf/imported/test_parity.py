"""Every imported model type that has a description runs in llama.cpp as in transformers."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError
from convert.parameter import Parameter
from convert.stream import write_layouts
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.gguf.file_names import FILE
from targets.gguf.imported import contents
from targets.gguf.imported.biases import is_read
from targets.gguf.imported.contents import imported_contents
from targets.gguf.imported.runs import RUNS
from targets.gguf.run import GgufRunner
from targets.gguf.target import GgufTarget
from targets.gguf.tensors import StoredTensor
from tests.support.imported import logits_of, original
from tests.targets.gguf.checkpoints import VOCABULARY
from tests.targets.gguf.imported.models import config_of, convert, request, round_gelu

CLOSE = 5e-5
"""Of the logits' standard deviation, as for the hand-written architectures."""

ROUNDED_GELU = 5e-3
"""The same where ggml looks GELU up in a table of float16."""

TOKENS, PREFILL = 48, 40

_TABLES = {"token_embd", "position_embd", "rope_freqs"}


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


@pytest.fixture(scope="module", params=RUNS)
def small(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], Any]:
    """A model type, its config and a model; made once for both tests."""
    raw = config_of(request.param)
    return request.param, raw, original(raw)


@pytest.mark.slow
@pytest.mark.usefixtures("proven_once")
def test_logits_are_those_of_transformers(small: Any, tmp_path: Path) -> None:
    _, raw, model = small
    convert(raw, model, tmp_path, tmp_path / "out")
    exact, rounded = apart(tmp_path / "out" / FILE, copy.deepcopy(model))
    if np.array_equal(exact, rounded):
        assert exact.max() < CLOSE
    else:
        assert exact.max() < ROUNDED_GELU
        # Where both sides round to the same float16, nothing is left; some rows have a neighbour.
        assert np.median(rounded) < CLOSE


def kind_of(stored: str) -> str:
    """``attn_q`` of ``blk.7.attn_q.bias``."""
    return re.sub(r"^blk\.\d+\.", "", stored).removesuffix(".weight").removesuffix(".bias")


def biases(tensors: Sequence[StoredTensor], kind: str) -> list[StoredTensor]:
    """One for each matrix or norm of a kind."""
    rng, found = np.random.default_rng(0), []
    for each in tensors:
        if kind_of(each.name) == kind and each.name.endswith(".weight"):
            name = each.name.removesuffix("weight") + "bias"
            *count, rows = each.shape[:-1] or each.shape
            numbers = [rng.normal(size=rows).astype(np.float32) for _ in range(*count or (1,))]
            stack = tuple((ArrayWeight(name, one), encoding("f32")) for one in numbers)
            found.append(StoredTensor(name, *stack[0], stacked=stack if count else ()))
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("proven_once")
def test_biases_are_read_where_they_are_said_to_be(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bias that is added to the file changes the logits, or is not one that is read."""
    model_type, raw, model = small
    asked, architecture = request(raw, model, tmp_path), RUNS[model_type].architecture
    tensors = imported_contents(asked).tensors

    def logits(more: Sequence[StoredTensor], folder: Path) -> NDArray[np.float32] | None:
        monkeypatch.setattr(contents, "stored_tensors", lambda *_: (*tensors, *more))
        folder.mkdir()
        write_layouts([(folder, GgufTarget().lay_out(asked))])
        try:
            with GgufRunner(folder / FILE, threads=1, exact_cache=True) as runner:
                return runner.logits(list(range(3, 15)), 12)
        except RunnerCrashedError:
            return None

    plain = logits((), tmp_path / "plain")
    assert plain is not None
    held = {each.name for each in tensors}
    for kind in sorted({kind_of(name) for name in held if name.endswith(".weight")} - _TABLES):
        added = [each for each in biases(tensors, kind) if each.name not in held]
        if added:
            found = logits(added, tmp_path / kind)
            read = found is not None and float(abs(found - plain).max()) > CLOSE
            assert read == is_read(architecture, added[0].name), kind


@pytest.mark.slow
@pytest.mark.usefixtures("proven_once")
def test_rotations_of_short_and_of_long_texts(tmp_path: Path) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3]}
    lengths = {"max_position_embeddings": 1024, "original_max_position_embeddings": 300}
    raw = config_of("phi3", **lengths, rope_parameters={**rope, "long_factor": [1.5, 2, 3, 4]})
    model = original(raw)
    assert "longer than 300 tokens" in convert(raw, model, tmp_path, tmp_path / "out").notes[-1]
    for context, tokens in ((256, 48), (1024, 320)):
        ids = np.random.default_rng(0).integers(3, VOCABULARY, (1, tokens))
        expected = logits_of(model, ids)[0]
        path = tmp_path / "out" / FILE
        with GgufRunner(path, threads=1, context=context, exact_cache=True) as runner:
            found = runner.logits(ids[0].tolist(), tokens)
        # An angle of hundreds is a float32 that both round; the median token hardly feels it.
        assert np.median(np.abs(found - expected).max(-1)) / expected.std() < CLOSE


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
