"""What the name of an output means."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.cache_folder import cache_folder
from convert.errors import UsageError
from convert.outlets.base import Here
from convert.outlets.choosing import output, output_of, staged
from convert.outlets.hub_outlet import HubOutlet
from convert.outlets.object_outlet import ObjectOutlet


def test_a_folder_is_a_folder(tmp_path):
    for given in (tmp_path, str(tmp_path)):
        found = output_of(given)
        assert found.folder == tmp_path
        assert isinstance(found.outlet, Here)


@pytest.mark.parametrize("url", ["s3://bucket/made", "gs://bucket/made", "az://account/c/made"])
def test_object_storage_is_staged_in_a_stable_place(url, tmp_path):
    found = output_of(url)
    assert isinstance(found.outlet, ObjectOutlet)
    assert found.folder == output_of(url + "/").folder == staged(url)
    assert found.folder.parent == cache_folder() / "staging"
    assert output_of(url, tmp_path).folder == tmp_path / found.folder.name
    assert staged(url) != staged(url + "2")


def test_a_repository_of_the_hub():
    assert isinstance(output_of("hf://org/name").outlet, HubOutlet)
    with pytest.raises(UsageError, match="passed its gate"), output("hf://org/name", gate=False):
        pass


@pytest.mark.parametrize(
    ("wrong", "staging"),
    [
        ("oci://host/name", None),
        ("s3://", None),
        (Path("s3://bucket/made"), None),
        ("out", "staging"),
    ],
)
def test_names_that_mean_nothing(wrong, staging):
    with pytest.raises(UsageError):
        output_of(wrong, staging)


def test_files_by_url_are_copied_for_the_run(bucket, tmp_path):
    pytest.importorskip("obstore")
    bucket.put("texts/prompts.txt", b"Once")
    with output(tmp_path / "out") as place:
        assert place.file(None) is None
        assert place.file("prompts.txt") == "prompts.txt"
        assert place.file(tmp_path / "x") == str(tmp_path / "x")
        copied = Path(place.file(f"s3://{bucket.name}/texts/prompts.txt"))
        assert copied.read_bytes() == b"Once"
    assert not copied.exists()
