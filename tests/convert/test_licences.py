"""The licence of a checkpoint is what its model card states, and never an error."""

from __future__ import annotations

import pytest
from cyclonedx.spdx import is_supported_id

from convert.licences import _SPDX, spdx_identifier, stated_licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: yi-license\n---\n", "yi-license"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit AND apache-2.0"),
        ("---\nlicense: 3\n---\n", None),
        ("---\nlicense: ''\n---\n", None),
        ("---\n- license\n---\n", None),
        ("---\nlicense: : :\n---\n", None),
        ("---\nlicense: " + "[" * 60_000 + "\n---\n", None),
        ("---\nlicense: mit\n", None),
        ("---\nlanguage:\n- en\nlicense:\n- mit\nwidget: [[[\n---\n", "mit"),
        ("# Model\nlicense: mit\n", None),
        ("", None),
        (b"---\nlicense: \xff\n---\n", None),
    ],
)
def test_a_card_states_it_in_its_header(tmp_path, card, licence):
    (tmp_path / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
    assert stated_licence(tmp_path) == licence


def test_no_card_states_none(tmp_path):
    assert stated_licence(tmp_path) is None


def test_every_identifier_is_of_the_list():
    assert all(map(is_supported_id, _SPDX))
    assert spdx_identifier("apache-2.0") == "Apache-2.0"
    assert spdx_identifier("llama3") is None
