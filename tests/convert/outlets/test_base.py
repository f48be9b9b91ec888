"""Nothing is done for artifacts that stay here."""

from __future__ import annotations

import io

import pytest

from convert.artifact import PendingFolder
from convert.errors import OutputExistsError
from convert.outlets.base import Here, nobody_follows
from convert.progress import Reporter
from targets.base import Layout, OutputFile


def test_an_artifact_gets_its_name(tmp_path):
    outlet = Here()
    with (
        outlet.opened(tmp_path, ["made"], Reporter(io.StringIO()), False),
        PendingFolder(tmp_path, "made") as folder,
    ):
        outlet.require_absent(folder.final)
        layout = Layout((OutputFile.whole("a", b"a"),), ())
        outlet.follow(folder.path, layout)("a", 0, 1, None)
        (folder.path / "a").write_bytes(b"a")
        assert outlet.publish(folder) == tmp_path / "made"
    assert (tmp_path / "made" / "a").read_bytes() == b"a"
    with pytest.raises(OutputExistsError):
        outlet.require_absent(tmp_path / "made")


def test_nobody_follows(tmp_path):
    assert nobody_follows(tmp_path, Layout((), ()))("a", 0, 1, None) is None
