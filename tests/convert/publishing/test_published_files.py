import pytest

from convert.errors import UsageError
from convert.publishing.published_files import recorded_files, require_own


def test_a_manifest_names_its_files_and_what_accompanies_it(artifact):
    found = recorded_files((artifact / "manifest.json").read_bytes())
    assert {"model.gguf", "sub/config.json", "manifest.json", "model.sig"} <= found


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"3", b"{}", b'{"files": [1]}', b'{"files": [{"path": "a"}]}', b"[" * 99999],
)
def test_other_manifests_name_nothing(data):
    assert recorded_files(data) == frozenset()


def test_a_few_of_the_foreign_files_are_named():
    require_own("x", frozenset())
    with pytest.raises(UsageError) as caught:
        require_own("x", frozenset("abcdefg"))
    assert caught.value.found == "a, b, c, d, e ..."
