"""`convert list architectures` says what was found out about the installed transformers."""

from __future__ import annotations

import pytest

from convert.importing import tried
from convert.importing.tried import TriedType, TriedTypes, importable, tried_types

TYPES = TriedTypes(
    "5.0",
    (
        TriedType("one", "OneForCausalLM", None, {}),
        TriedType("two", "TwoForCausalLM", None, {"onnx": "of an operator"}),
        TriedType("three", "ThreeForCausalLM", "it has an encoder", {}),
        TriedType("third", "ThreeForCausalLM", None, {}),
    ),
)


@pytest.fixture(autouse=True)
def of_five(monkeypatch):
    monkeypatch.setattr(tried, "tried_types", lambda: TYPES)
    monkeypatch.setattr(tried, "_installed", lambda: "5.0")


def test_every_class_without_an_architecture_is_listed():
    assert dict(importable(["OneForCausalLM"])) == {
        "ThreeForCausalLM": "refused: it has an encoder; imported from transformers (third)",
        "TwoForCausalLM": "imported from transformers (two); not for onnx: of an operator",
    }


def test_targets_that_write_no_graphs_are_named_where_they_take_a_type():
    found = dict(importable(["ThreeForCausalLM"], {"gguf": {"one", "three"}, "other": {"one"}}))
    assert found["OneForCausalLM"] == "imported from transformers (one); also for gguf, other"
    assert "also" not in found["TwoForCausalLM"]


def test_what_was_not_tried_with_the_installed_version_is_said(monkeypatch):
    names = {"one": "OneForCausalLM", "new": "NewForCausalLM"}
    monkeypatch.setattr(tried, "_installed", lambda: "5.1")
    monkeypatch.setattr(tried, "_class_names", lambda: names)
    assert dict(importable([])) == {
        "NewForCausalLM": "not tried with transformers 5.1",
        "OneForCausalLM": "with transformers 5.0: imported from transformers (one)",
    }


def test_without_transformers_nothing_is_importable(monkeypatch):
    monkeypatch.setattr(tried, "_installed", lambda: None)
    assert not list(importable([]))


def test_the_file_comes_back_as_it_was_written(tmp_path, monkeypatch):
    (tmp_path / tried.FILE).write_text(TYPES.as_json())
    monkeypatch.setattr(tried, "files", lambda _: tmp_path)
    tried_types.cache_clear()
    try:
        assert tried_types() == TYPES
    finally:
        tried_types.cache_clear()


def test_the_packages_file_is_of_many_types():
    types = tried_types().types
    assert len({each.kind for each in types}) == len(types) > 100
    assert sum(each.refused is None for each in types) >= 60


def test_a_type_that_could_not_be_tried_is_listed_by_its_type(monkeypatch):
    untried = TriedTypes("5.0", (TriedType("four", "", "it needs a package", {}),))
    monkeypatch.setattr(tried, "tried_types", lambda: untried)
    assert dict(importable([])) == {"four": "refused: it needs a package"}
