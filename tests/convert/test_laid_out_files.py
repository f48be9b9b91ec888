"""The sizes of files that are laid out are those that a run writes."""

from __future__ import annotations

import pytest

from convert.laid_out_files import laid_out_files
from convert.recipe import Artifact, Recipe
from tests.support.runs import TINY_LLAMA


def sizes(*artifacts):
    return laid_out_files(Recipe(name="r", model=str(TINY_LLAMA), artifacts=artifacts))


def test_what_a_run_has_to_measure_has_no_sizes():
    found = sizes(
        Artifact(format="gguf", target_bits=5),
        Artifact(format="gaudi", encoding="fp8"),
        Artifact(format="ipex", encoding="w8a8"),
        Artifact(format="ipex", encoding="int4_sym", method="awq"),
    )
    assert found == ((), (), (), ())


@pytest.mark.slow
def test_files_are_as_large_as_those_of_a_run(tmp_path):
    from convert import run

    asked = ["gguf:q4_0", "gguf:q4_k_m", "openvino:int4_g64", "ipex:bf16", "onnx:int8"]
    artifacts = [Artifact(format=one.split(":")[0], encoding=one.split(":")[1]) for one in asked]
    made = run(str(TINY_LLAMA), to=asked, out=tmp_path, gate=False, report=False)
    for folder, files in zip(made.folders, sizes(*artifacts), strict=True):
        written = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file()
        }
        for file in files:
            assert written.pop(file.path) == file.nbytes
        assert "manifest.json" in written
