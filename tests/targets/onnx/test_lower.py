import itertools

import onnx_ir as ir
import pytest

from convert.parameter import Parameter
from passes.base import fingerprint
from passes.encodings import encoding
from targets.onnx.file_names import DATA_FILE
from targets.onnx.lower import DataFile, lower
from tests.support.models import small_model


def graph(encoding_name="f32", **overrides):
    model = small_model("llama", **overrides).graph()
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, Parameter) and len(tensor.weight.shape) == 2:
            tensor.encoding = encoding(encoding_name).fit(tensor.weight.columns)
    return model


def test_large_tensors_start_on_a_page():
    _, jobs = lower(graph(vocab_size=1000))
    large = [job for job in jobs if job.weight.rows * job.weight.columns >= 1 << 14]
    assert large
    assert all(job.placements[0].offset % 4096 == 0 for job in large)
    assert all(job.placements[0].offset % 64 == 0 for job in jobs)


@pytest.mark.parametrize("encoding_name", ["f16", "int4_g32"])
def test_no_two_tensors_overlap_and_the_last_ends_the_file(encoding_name):
    files, jobs = lower(graph(encoding_name))
    spans = sorted(
        (place.offset, place.offset + plane.nbytes(job.weight.rows))
        for job in jobs
        for place, plane in zip(
            job.placements, job.encoding.planes(job.weight.columns), strict=True
        )
    )
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert {file.path: file.size for file in files}[DATA_FILE] == spans[-1][1]


def test_the_graph_is_left_as_it_is():
    model = graph("int8")
    before = fingerprint(model)
    lower(model)
    assert fingerprint(model) == before


def test_bytes_are_handed_out_in_order():
    data = DataFile()
    for name, nbytes in (("a", 3), ("b", 1 << 16), ("c", 1)):
        data.allocate(name, ir.DataType.UINT8, (nbytes,), nbytes)
    assert data.offsets == {"a": 0, "b": 4096, "c": 4096 + (1 << 16)}
    assert data.size == 4097 + (1 << 16)
