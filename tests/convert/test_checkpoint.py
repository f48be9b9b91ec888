from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch

from convert import checkpoint as checkpoint_module
from convert.checkpoint import Checkpoint, compare_tensors, open_checkpoint, require_tensors
from convert.errors import (
    BadHeaderError,
    InterruptedRunError,
    MissingFileError,
    OutputExistsError,
    TensorMismatchError,
    UnavailableSourceError,
    UnsafePathError,
    UnsafePickleError,
    UnsupportedConfigError,
    UsageError,
)
from convert.sources.downloads import Downloads
from convert.sources.hub import Snapshot
from convert.weights import ArrayWeight, read_float32
from tests.support.gguf_files import TinyGguf
from tests.support.safetensors_bytes import write_checkpoint

SHARDS = {"m-1.safetensors": {"a": [2]}, "m-2.safetensors": {"b": [3, 2]}}


def folder(tmp_path, config=None, shards=SHARDS):
    return write_checkpoint(tmp_path / "model", config or {"model_type": "llama"}, shards)


def test_a_folder_of_shards(tmp_path):
    path = folder(tmp_path)
    for name in ("tokenizer.json", "generation_config.json", "README.md", "modeling.py"):
        (path / name).write_text("{}")
    opened = open_checkpoint(str(path))
    assert opened.label == "model"
    assert opened.folder == path
    assert opened.config == {"model_type": "llama"}
    assert {name: weight.shape for name, weight in opened.weights.items()} == {
        "a": (2,),
        "b": (3, 2),
    }
    assert sorted(file.name for file in opened.files) == [
        "config.json",
        "generation_config.json",
        "m-1.safetensors",
        "m-2.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ]


def test_a_revision_of_a_local_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no revision"):
        open_checkpoint(str(folder(tmp_path)), revision="main")


def test_pickles_are_read_where_there_are_no_safetensors(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    torch.save({"a": torch.arange(3.0)}, path / "pytorch_model.bin")
    opened = open_checkpoint(str(path))
    np.testing.assert_array_equal(read_float32(opened.weights["a"]), [0, 1, 2])
    assert [file.name for file in opened.files] == ["config.json", "pytorch_model.bin"]


def test_safetensors_win_over_pickles(tmp_path):
    path = folder(tmp_path)
    (path / "pytorch_model.bin").write_bytes(b"never opened")
    assert open_checkpoint(str(path)).weights.keys() == {"a", "b"}


def test_a_gguf_is_unpacked_into_the_scratch_folder(tmp_path):
    path = TinyGguf(layers=1).write(tmp_path / "tiny-model.gguf")
    opened = open_checkpoint(str(path), scratch=tmp_path / "scratch")
    assert opened.label == "tiny-model"
    assert opened.folder.is_relative_to(tmp_path / "scratch")
    assert opened.weights["model.norm.weight"].shape == (64,)
    assert "tokenizer.json" in {file.name for file in opened.files}
    with pytest.raises(OutputExistsError):
        open_checkpoint(str(path), scratch=tmp_path / "scratch")


def test_a_gguf_in_shards_has_their_common_name_and_the_time_of_the_latest(tmp_path):
    path = TinyGguf(layers=1).write(tmp_path / "tiny.gguf", split_max_size=9000)
    shards = sorted(tmp_path.glob("tiny-*.gguf"))
    for i, shard in enumerate(shards):
        os.utime(shard, ns=(10**18, 10**18 + i))
    opened = open_checkpoint(str(path), scratch=tmp_path / "scratch")
    assert opened.label == "tiny"
    times = {file.stat().st_mtime_ns for file in opened.files}
    assert times == {10**18 + len(shards) - 1}


def test_a_hub_id_is_opened_at_its_revision(tmp_path, monkeypatch):
    path = folder(tmp_path)
    asked = []

    def open_snapshot(name, revision):
        asked.append((name, revision))
        return Snapshot(name, "c0ffee", path, {})

    monkeypatch.setattr("convert.sources.hub.open_snapshot", open_snapshot)
    opened = open_checkpoint("org/name", revision="v1")
    assert asked == [("org/name", "v1")]
    assert opened.label == "org/name@c0ffee"
    assert opened.weights.keys() == {"a", "b"}


def test_local_files_need_not_be_awaited(tmp_path):
    opened = open_checkpoint(str(folder(tmp_path)))
    opened.close()
    for path in opened.files:
        opened.await_file(path)
        status = path.stat()
        assert opened.state_of(path) == [status.st_size, status.st_mtime_ns]


def test_files_of_the_hub_are_awaited_and_have_no_time(tmp_path):
    here, coming = tmp_path / "config.json", tmp_path / "model.safetensors"
    here.write_bytes(b"{}")
    downloads = Downloads({coming: 7}, lambda path, advance: path.write_bytes(b"weights"))
    opened = Checkpoint("m", tmp_path, {}, {}, (here, coming), downloads)
    assert [opened.state_of(path) for path in opened.files] == [[2, 0], [7, 0]]
    assert not coming.exists()
    opened.await_file(here)
    opened.await_file(coming)
    assert coming.read_bytes() == b"weights"
    opened.close()


def test_closing_breaks_downloads_off(tmp_path):
    path = tmp_path / "model.safetensors"
    opened = Checkpoint("m", tmp_path, {}, {}, (path,), Downloads({path: 1}, lambda *_: None))
    opened.close()
    with pytest.raises(InterruptedRunError):
        opened.await_file(path)


def test_a_path_wins_over_a_hub_id(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "org" / "name", {}, SHARDS)
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("org/name").label == "name"


@pytest.mark.parametrize("source", ["/no/such", "./no/such", "~/no", "no", "a/b/c", "../x"])
def test_what_is_neither_path_nor_hub_id(source):
    with pytest.raises(UnavailableSourceError, match="no checkpoint"):
        open_checkpoint(source)


def test_a_file_that_is_no_gguf(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(UnavailableSourceError, match="no checkpoint"):
        open_checkpoint(str(path))


class TestBrokenFolders:
    def test_no_config(self, tmp_path):
        path = folder(tmp_path)
        (path / "config.json").unlink()
        with pytest.raises(MissingFileError, match=r"config\.json"):
            open_checkpoint(str(path))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"'])
    def test_a_config_that_is_no_object(self, tmp_path, text):
        path = folder(tmp_path)
        (path / "config.json").write_text(text)
        with pytest.raises(BadHeaderError, match=r"config\.json"):
            open_checkpoint(str(path))

    def test_no_weights(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(MissingFileError, match="no weights"):
            open_checkpoint(str(tmp_path))

    def test_an_index_that_climbs(self, tmp_path):
        path = folder(tmp_path)
        shutil.move(path / "m-1.safetensors", tmp_path / "m-1.safetensors")
        index = path / "model.safetensors.index.json"
        index.write_text(index.read_text().replace("m-1", "../m-1"))
        with pytest.raises(UnsafePathError):
            open_checkpoint(str(path))

    def test_code_in_a_pickle(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (tmp_path / "executed").touch, ()

        (tmp_path / "config.json").write_text("{}")
        torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin")
        with pytest.raises(UnsafePickleError):
            open_checkpoint(str(tmp_path))
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
    def test_a_quantized_checkpoint(self, tmp_path, key):
        path = folder(tmp_path, {key: {"quant_method": "gptq"}})
        with pytest.raises(UnsupportedConfigError, match="gptq"):
            open_checkpoint(str(path))


def test_code_beside_the_weights_is_not_executed(tmp_path):
    marker = tmp_path / "executed"
    path = folder(tmp_path, {"auto_map": {"AutoConfig": "configuration_x.Config"}})
    (path / "configuration_x.py").write_text(f"open({str(marker)!r}, 'w')")
    open_checkpoint(str(path))
    assert not marker.exists()


def test_buffers_that_follow_from_the_configuration_are_left_out(tmp_path):
    names = {"a": [1], "model.layers.0.self_attn.rotary_emb.inv_freq": [8]}
    path = folder(tmp_path, shards={"m-1.safetensors": names})
    assert open_checkpoint(str(path)).weights.keys() == {"a"}


class TestRequireTensors:
    def checkpoint(self, tmp_path, config, **shapes):
        weights = {name: ArrayWeight(name, np.zeros(s, "f4")) for name, s in shapes.items()}
        return Checkpoint("model", tmp_path, config, weights, ())

    def test_exactly_the_expected_tensors(self, tmp_path):
        found = self.checkpoint(tmp_path, {}, a=(1, 2), b=(3,))
        assert require_tensors(found, {"a": (1, 2), "b": (3,)}) == ()

    def test_missing_surplus_and_misshapen_tensors_are_named_and_counted(self, tmp_path):
        found = self.checkpoint(tmp_path, {}, a=(1, 2), c=(1,))
        with pytest.raises(TensorMismatchError) as caught:
            require_tensors(found, {"a": (2, 1), "b": (3,)})
        message = str(caught.value)
        assert "1 missing: b" in message
        assert "1 not known to the architecture: c" in message
        assert "1 of another shape: a [1, 2], not [2, 1]" in message
        assert "expected: 2 tensors" in message

    def test_a_long_list_is_cut(self):
        expected = {f"t{n}": (1,) for n in range(8)}
        with pytest.raises(TensorMismatchError) as caught:
            compare_tensors("model", {}, expected)
        assert "8 missing: t0, t1, t2, t3, t4 and 3 more" in str(caught.value)

    def tied(self, tmp_path, head, embedding):
        weights = {
            "model.embed_tokens.weight": ArrayWeight("model.embed_tokens.weight", embedding),
            "lm_head.weight": ArrayWeight("lm_head.weight", head),
        }
        found = Checkpoint("model", tmp_path, {}, weights, ())
        return require_tensors(found, {"model.embed_tokens.weight": (7, 3)})

    def test_a_head_that_is_the_tied_embedding_is_noted(self, tmp_path, monkeypatch):
        monkeypatch.setattr("convert.checkpoint._CHUNK_ELEMENTS", 6)
        embedding = np.random.default_rng(0).normal(size=(7, 3)).astype("f4")
        (note,) = self.tied(tmp_path, embedding.copy(), embedding)
        assert "lm_head.weight is not used" in note

    @pytest.mark.parametrize("change", ["value", "shape", "dtype"])
    def test_a_head_that_is_not_the_tied_embedding_is_refused(self, tmp_path, change):
        embedding = np.ones((7, 3), "f4")
        head = {
            "value": np.where(np.arange(21).reshape(7, 3) == 20, 2, embedding).astype("f4"),
            "shape": embedding[:6],
            "dtype": embedding.astype("f2"),
        }[change]
        with pytest.raises(TensorMismatchError, match="another matrix"):
            self.tied(tmp_path, head, embedding)


def test_opening_reads_no_weight(tmp_path, monkeypatch):
    path = folder(tmp_path)
    monkeypatch.setattr("convert.weights.FileWeight.read_rows", None)
    assert len(open_checkpoint(str(path)).weights) == 2


def test_the_files_cover_what_the_hub_downloads():
    """Every tokenizer file that counts is one that a download brings."""
    from fnmatch import fnmatch

    from convert.sources import hub

    for name in checkpoint_module.TOKENIZER_FILES:
        assert any(fnmatch(name, pattern) for pattern in hub.TEXT_FILES)


def test_a_config_survives_as_it_is(tmp_path):
    config = {"rope_scaling": {"factor": 8.0}, "x": [1, None, "é"]}
    path = folder(tmp_path, config)
    assert json.loads(json.dumps(open_checkpoint(str(path)).config)) == config
