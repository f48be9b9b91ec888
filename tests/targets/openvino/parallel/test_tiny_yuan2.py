"""Four processes of the shipped Yuan in NF4 give what one process gives with the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.checkpoint import open_checkpoint
from convert.graph import parameters
from convert.preparation import open_source, prepare
from convert.recipe import load_recipe
from convert.stored_layout import in_checkpoint_layout
from convert.stream import write_layouts
from convert.weights import ArrayWeight
from targets.openvino.parallel.runner import OpenVinoRanksRunner
from targets.openvino.parallel.stored import stored_ranks
from targets.openvino.run import EXACT, OpenVinoRunner

TINY_YUAN2 = Path(__file__).resolve().parents[4] / "golden" / "models" / "tiny-yuan2"
TOLERANCE = 1e-3
"""Largest difference of a logit."""


def written(checkpoint, artifact, folder):
    folder.mkdir()
    made = prepare(checkpoint, open_source(checkpoint), artifact, tokenizer=False, strict=False)
    write_layouts([(folder, made.layout)])
    return made


@pytest.mark.slow
def test_logits_and_64_tokens(tmp_path):
    checkpoint = open_checkpoint(str(TINY_YUAN2))
    (cut,) = load_recipe("yuan2-102b-xeon-nf4-tp4").artifacts
    made = written(checkpoint, cut, tmp_path / "cut")
    weights = {name: item.weight for name, item in parameters(made.model).items()}
    stored = {
        name: ArrayWeight(name, np.ascontiguousarray(values))
        for name, values in in_checkpoint_layout(weights, stored_ranks(tmp_path / "cut"))
    }
    assert stored.keys() == checkpoint.weights.keys()
    whole = cut.model_copy(update={"encoding": "f32", "tensor_parallel": None})
    written(replace(checkpoint, weights=stored), whole, tmp_path / "whole")

    ids = np.random.default_rng(0).integers(0, 1200, 24).tolist()
    alone = OpenVinoRunner(tmp_path / "whole", threads=2, overrides=EXACT)
    with OpenVinoRanksRunner(tmp_path / "cut", threads=2, overrides=EXACT) as ranks:
        for prefill in (24, 1, 7):
            difference = np.abs(ranks.logits(ids, prefill) - alone.logits(ids, prefill)).max()
            assert difference < TOLERANCE
        tokens = ranks.generate(ids, 64, frozenset())
    assert tokens == alone.generate(ids, 64, frozenset())
