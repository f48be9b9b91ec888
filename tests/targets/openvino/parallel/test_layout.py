"""An artifact of ranks has each rank's files in a folder and all else once."""

from __future__ import annotations

from convert.inspection import inspect
from targets.openvino.parallel.layout import lay_out_ranks
from tests.support.rank_artifacts import make_pair


def test_files(pair):
    found = {str(path.relative_to(pair.cut)) for path in pair.cut.rglob("*") if path.is_file()}
    assert found == {
        "config.json",
        "generation_config.json",
        "launch.sh",
        "tensor_parallel.json",
        *(f"rank-{rank}/openvino_model.{end}" for rank in (0, 1) for end in ("bin", "xml")),
    }


def test_a_rank_has_half_of_the_bytes(pair):
    whole = (pair.whole / "openvino_model.bin").stat().st_size
    for rank in (0, 1):
        own = (pair.cut / f"rank-{rank}/openvino_model.bin").stat().st_size
        assert 0.4 * whole < own < 0.6 * whole


def test_notes_say_how_even_it_is(pair):
    assert any("2 ranks store" in note for note in pair.prepared.layout.notes)


def test_the_module_lays_out_what_the_target_asks_for():
    assert lay_out_ranks.__module__ == "targets.openvino.parallel.layout"


def test_inspection_lists_every_rank(pair):
    found = inspect(pair.cut)
    assert (found.kind, found.metadata["ranks"]) == ("openvino", 2)
    shapes = {tensor.name: tensor.shape for tensor in found.tensors}
    name = "model.layers.0.mlp.down_proj.weight"
    assert shapes[f"rank-0/{name}"] == (48, 32)
    assert shapes[f"rank-1/{name}"] == (48, 40)


def test_the_same_model_gives_the_same_bytes(pair, tmp_path):
    again = make_pair(pair.model, tmp_path, 2).cut
    for path in sorted(pair.cut.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(pair.cut)).read_bytes()
