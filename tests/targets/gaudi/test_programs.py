"""Program files: exported in another process, from shapes alone, the same bytes each time."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch

from convert.errors import (
    OutOfMemoryError,
    PassRefusedError,
    TensorMismatchError,
    UnsupportedArchitectureError,
    UnsupportedError,
)
from targets.gaudi import export_program, programs
from targets.gaudi.audit import audit
from targets.gaudi.export import export, static_graph, to_bytes
from targets.gaudi.programs import ProgramRequest, static_programs
from tests.support.models import small_model
from tests.support.programs import request_for

BATCH, CONTEXT, BUCKET = 2, 32, 8


@pytest.fixture(scope="module")
def asked():
    small = small_model("llama", num_hidden_layers=1)
    return request_for(small, dtype="BF16", batch=BATCH, context=CONTEXT, buckets=[BUCKET])


@pytest.fixture(scope="module")
def files(asked):
    return static_programs(asked)


def exported(asked, tokens=1):
    model = static_graph(asked.config, batch=asked.batch, tokens=tokens, context=asked.context)
    return export(model, asked.tensors, asked.largest_code)


def test_there_is_a_program_for_a_token_and_one_for_each_bucket(files):
    assert set(files) == {"decode.pt2", f"prefill-{BUCKET}.pt2"}
    for name, tokens in (("decode.pt2", 1), (f"prefill-{BUCKET}.pt2", BUCKET)):
        program = torch.export.load(io.BytesIO(files[name]))
        audit(program, name)
        shapes = {
            node.name: tuple(node.meta["val"].shape)
            for node in program.graph.nodes
            if node.op == "placeholder"
        }
        assert shapes["input_ids"] == shapes["position_ids"] == (BATCH, tokens)
        assert shapes["attention_mask"] == (BATCH, CONTEXT)
        assert shapes["cache_position"] == (1,)
        assert shapes["caches_past_key_values_0_key"][2] == CONTEXT


def test_another_process_makes_the_same_bytes(asked, files):
    assert to_bytes(exported(asked)) == files["decode.pt2"]
    assert to_bytes(exported(asked, BUCKET)) == files[f"prefill-{BUCKET}.pt2"]


def test_files_hold_no_weights_and_no_place_of_this_machine(asked, files):
    program = torch.export.load(io.BytesIO(files["decode.pt2"]))
    assert sum(tensor.numel() for tensor in program.state_dict.values()) < 100
    assert program.example_inputs is None
    places = {str(Path(place).resolve()) for place in (*sys.path, torch.__path__[0]) if place}
    for data in files.values():
        assert not any(place.encode() in data for place in places if len(place) > 1)
        assert b".py" not in data


def test_weights_and_caches_go_by_their_names(asked, files):
    program = torch.export.load(io.BytesIO(files["decode.pt2"]))
    (*_, weights, caches), _ = program.call_spec.in_spec.unflatten(
        program.graph_signature.user_inputs
    )
    assert set(weights) == set(asked.tensors)
    assert set(caches) == {"past_key_values.0.key", "past_key_values.0.value"}


def test_a_request_survives_json(asked):
    assert ProgramRequest.from_json(json.loads(json.dumps(asked.to_json()))) == asked


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"config": {"architectures": ["Nothing"]}}, UnsupportedArchitectureError),
        ({"tensors": {}}, TensorMismatchError),
        ({"buckets": (CONTEXT + 1,)}, PassRefusedError),
    ],
    ids=["unknown architecture", "no weights", "bucket longer than the cache"],
)
def test_an_error_comes_back_as_what_it_was(asked, changes, error, tmp_path):
    wrong = ProgramRequest(**{**vars(asked), **changes})
    with pytest.raises(error) as direct:
        export_program.export_programs(wrong, tmp_path)
    report = tmp_path / programs.ERROR_FILE
    assert not report.exists()
    assert "\n" not in direct.value.what


def test_the_parent_raises_what_the_child_reports(asked):
    wrong = ProgramRequest(**{**vars(asked), "config": {"architectures": ["Nothing"]}})
    with pytest.raises(UnsupportedArchitectureError, match="Nothing"):
        static_programs(wrong)


@pytest.mark.parametrize(
    ("code", "error"),
    [("os.kill(os.getpid(), 9)", OutOfMemoryError), ("os._exit(7)", UnsupportedError)],
)
def test_a_death_is_an_error(asked, monkeypatch, tmp_path, code, error):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import os; {code}'\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(error):
        static_programs(asked)
