"""Which files of a data set on the hub are a split, and what to do where none is."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from convert.errors import UnavailableSourceError, UnsupportedError
from convert.sources.hub_data_set import data_set_files


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serves files of the given names; the names that were fetched."""
    fetched = []

    def serve(*names):
        siblings = [SimpleNamespace(rfilename=name) for name in names]
        info = SimpleNamespace(sha="c0ffee", siblings=siblings)
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, name: info)

        def fetch(repository, file, *, repo_type, revision):
            assert (repository, repo_type, revision) == ("org/name", "dataset", "c0ffee")
            fetched.append(file)
            return str(tmp_path / file)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
        return fetched

    return serve


@pytest.mark.parametrize(
    ("listed", "asked", "chosen"),
    [
        (["README.md", "train.jsonl", "test.jsonl"], "", ["train.jsonl"]),
        (["train.jsonl", "test.jsonl"], ":test", ["test.jsonl"]),
        (
            ["data/train-00001-of-00002.jsonl", "data/train-00000-of-00002.jsonl"],
            ":train",
            ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"],
        ),
        (["news.jsonl", "README.md"], "", ["news.jsonl"]),
    ],
)
def test_the_files_of_a_split(hub, listed, asked, chosen):
    fetched = hub(*listed)
    assert [path.name for path in data_set_files(f"org/name{asked}")] == [
        name.rpartition("/")[2] for name in chosen
    ]
    assert fetched == chosen


def test_files_are_fetched_when_they_are_asked_for(hub):
    fetched = hub("train-0.jsonl", "train-1.jsonl")
    list(islice(data_set_files("org/name"), 1))
    assert fetched == ["train-0.jsonl"]


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        (["data/train-00000.parquet"], ""),
        ([], ""),
        (["news.jsonl"], ":test"),
        (["a.jsonl", "b.jsonl"], ""),
        (["training.jsonl", "b.jsonl"], ":train"),
    ],
)
def test_other_forms_are_refused_with_the_way_out(hub, listed, asked):
    hub(*listed)
    with pytest.raises(UnsupportedError, match="no JSON Lines") as caught:
        list(data_set_files(f"org/name{asked}"))
    assert f"split='{asked[1:] or 'train'}').to_json" in caught.value.remedy


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch):
    def offline(self, name):
        raise OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", offline)
    with pytest.raises(UnavailableSourceError, match="data set 'org/name'") as caught:
        list(data_set_files("org/name"))
    assert "a data set on the hub" in caught.value.expected


def test_a_file_that_does_not_arrive_is_named(hub, monkeypatch):
    hub("train.jsonl")

    def broken(*_, **__):
        raise ConnectionError("reset")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(UnavailableSourceError, match=r"'train\.jsonl' of 'org/name'"):
        list(data_set_files("org/name"))
