"""Every form of Yuan's graph gives the logits that the original implementation gave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from convert.preparation import open_source
from golden import reference
from passes.kv_cache import DynamicCache, StatefulCache, StaticCache
from passes.lfa_fusion import LfaFusion
from targets.base import LayoutRequest
from tests.support.decoding import cache_inputs, step
from tests.support.ort import Array, OrtGraph

FOLDER = Path(__file__).parent / "yuan_reference"
RECORDED = load_file(FOLDER / "reference.safetensors")
LENGTHS = (1, 2, 3, 5, 24)
TOLERANCE = 1e-4

FUSIONS = {"convolutions": [], "pair": [LfaFusion("pair")], "collapsed": [LfaFusion("collapsed")]}

Feed = Callable[[Sequence[Array]], Array]
"""From the pieces of one sequence to its logits ``[S, vocab]``."""


def graph(passes, folder=FOLDER):
    checkpoint = open_checkpoint(str(folder))
    source = open_source(checkpoint)
    model = architecture_of(checkpoint.config).build(source.config, checkpoint.weights)
    for rewrite in passes:
        assert rewrite(model)
    return source, model


def cuts(length):
    """Whole, token by token, and every cut in two."""
    yield [0, length]
    yield list(range(length + 1))
    yield from ([0, cut, length] for cut in range(1, length))


def assert_reference(feed: Feed, length: int) -> None:
    ids, expected = RECORDED[f"ids_{length}"][0], RECORDED[f"logits_{length}"][0]
    for ends in cuts(length):
        found = feed([ids[start:stop] for start, stop in pairwise(ends)])
        assert np.abs(found - expected).max() < TOLERANCE, ends


@pytest.fixture(scope="module", params=FUSIONS, ids=str)
def fusion(request):
    return FUSIONS[request.param]


@pytest.mark.parametrize("length", LENGTHS)
def test_our_torch(length):
    loaded = reference.load(FOLDER, 1)
    found = loaded.logits(RECORDED[f"ids_{length}"][0].tolist())
    assert np.abs(found - RECORDED[f"logits_{length}"][0]).max() < TOLERANCE


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """The checkpoint in two ``pytorch_model-*.bin`` shards, as the hub has this family."""
    import torch
    from safetensors.torch import load_file as load_tensors

    folder = tmp_path_factory.mktemp("pickled")
    tensors = load_tensors(FOLDER / "model.safetensors")
    names = sorted(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    shutil.copy(FOLDER / "config.json", folder)
    return folder


def test_shards_of_pickles_are_read_alike(pickled):
    _, model = graph([LfaFusion()], pickled)
    ids, expected = RECORDED["ids_24"], RECORDED["logits_24"]
    feed = {"attention_mask": np.ones_like(ids), "position_ids": np.arange(24)[None]}
    found = OrtGraph(model)(input_ids=ids, **feed)["logits"]
    assert np.abs(found - expected).max() < TOLERANCE
    recorded = reference.load(pickled, 1).logits(ids[0].tolist())
    assert np.abs(recorded - expected[0]).max() < TOLERANCE


@pytest.mark.parametrize("length", LENGTHS)
def test_the_graph_without_a_cache(fusion, length):
    _, model = graph(fusion)
    ids = RECORDED[f"ids_{length}"]
    feed = {"attention_mask": np.ones_like(ids), "position_ids": np.arange(length)[None]}
    found = OrtGraph(model)(input_ids=ids, **feed)["logits"]
    assert np.abs(found - RECORDED[f"logits_{length}"]).max() < TOLERANCE


@pytest.fixture(scope="module")
def growing(fusion):
    """The graph with a growing cache, in onnxruntime."""
    _, model = graph([*fusion, DynamicCache()])
    run = OrtGraph(model)

    def feed(pieces):
        cache, logits, end = cache_inputs(model, 1, 0), [], 0
        for piece in pieces:
            start, end = end, end + len(piece)
            tokens = {
                "input_ids": piece[None],
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(start, end)[None],
            }
            found, cache = step(run, cache, **tokens)
            logits.append(found[0])
        return np.concatenate(logits)

    return feed


@pytest.mark.parametrize("length", LENGTHS)
def test_a_growing_cache(growing, length):
    assert_reference(growing, length)


@pytest.fixture(scope="module")
def fixed(fusion):
    """Two graphs with a static cache, in onnxruntime: a bucket of tokens, and one token."""
    slots, bucket = 26, 24
    graphs = {size: graph([*fusion, StaticCache(1, size, slots)])[1] for size in (1, bucket)}
    runs = {size: OrtGraph(model) for size, model in graphs.items()}

    def feed(pieces):
        # Padding of a later bucket must not reach beyond the slots.
        cache, logits, end = cache_inputs(graphs[1], 1, slots), [], 0
        for piece in pieces:
            size = bucket if end == 0 and len(piece) > 1 else 1
            for part in [piece] if size == bucket else np.split(piece, len(piece)):
                start, end = end, end + len(part)
                tokens = {
                    "input_ids": np.pad(part, (0, size - len(part)))[None],
                    "attention_mask": (np.arange(slots) < end).astype(np.int64)[None],
                    "position_ids": np.arange(start, start + size)[None],
                    "cache_position": np.array([start]),
                }
                found, cache = step(runs[size], cache, **tokens)
                logits.append(found[0, : len(part)])
        return np.concatenate(logits)

    return feed


@pytest.mark.parametrize("length", LENGTHS)
def test_a_static_cache(fixed, length):
    assert_reference(fixed, length)


@pytest.fixture(scope="module")
def stateful(fusion, tmp_path_factory):
    """The stateful IR in OpenVINO, float32."""
    from targets.openvino.run import EXACT, OpenVinoRunner
    from targets.openvino.target import OpenVinoTarget
    from tests.targets.openvino.artifacts import write

    source, model = graph([*fusion, StatefulCache()])
    layout = OpenVinoTarget().lay_out(LayoutRequest(source, model, tokenizer=False))
    folder = write(layout, tmp_path_factory.mktemp("ir"))
    runner = OpenVinoRunner(folder, threads=2, overrides=EXACT)

    def feed(pieces):
        runner.reset()
        return np.concatenate([runner.feed(piece.tolist()) for piece in pieces])

    return feed


@pytest.mark.parametrize("length", LENGTHS)
def test_a_stateful_ir(stateful, length):
    assert_reference(stateful, length)
