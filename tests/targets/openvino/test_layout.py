"""An artifact has the IR with its options, the configurations, and a tokenizer if wanted."""

from __future__ import annotations

import pytest

from targets.base import LayoutRequest, Source
from targets.openvino.layout import companion_files, model_files
from targets.openvino.target import OpenVinoTarget
from tests.support.models import small_model
from tests.support.runs import TINY_LLAMA


@pytest.fixture(scope="module")
def request_of():
    model = small_model("llama")
    graph = model.graph()
    for rewrite in OpenVinoTarget().passes({}):
        rewrite(graph)
    source = Source("small", TINY_LLAMA, model.raw_config, model.config)

    def make(**how):
        return LayoutRequest(source, graph, **how)

    return make


def test_the_ir_lies_where_it_is_told_to(request_of):
    ir = model_files(request_of(options={"kv_cache_precision": "f16"}), "here/model")
    assert (ir.xml.path, ir.bin.path) == ("here/model.xml", "here/model.bin")
    assert {placement.file for job in ir.jobs for placement in job.placements} == {"here/model.bin"}
    assert b'<KV_CACHE_PRECISION value="f16"' in ir.xml.segments[0][1]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_tokenizer_comes_if_it_is_wanted(request_of, wanted):
    paths = {file.path for file in companion_files(request_of(tokenizer=wanted))}
    assert {"config.json", "generation_config.json"} <= paths
    assert ("openvino_tokenizer.xml" in paths) is wanted
    assert ("tokenizer.json" in paths) is wanted
