import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.publishing.destination import (
    HubRepository,
    ModelScopeRepository,
    OciReference,
    parse_place,
)

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("org/name", HubRepository("org/name")),
        ("hf://org/na.me_1-2", HubRepository("org/na.me_1-2")),
        ("org/name@main", HubRepository("org/name", "main")),
        ("modelscope://org/name", ModelScopeRepository("org/name")),
        ("oci://localhost:5000/a/b:v1", OciReference("localhost:5000", "a/b", "v1")),
        ("oci://ghcr.io/a/b", OciReference("ghcr.io", "a/b")),
        (f"oci://ghcr.io/a/b@{DIGEST}", OciReference("ghcr.io", "a/b", None, DIGEST)),
        ("oci://[::1]:5000/a:v1", OciReference("[::1]:5000", "a", "v1")),
        ("oci://docker.io/a:v1", OciReference("docker.io", "library/a", "v1")),
    ],
)
def test_each_form_is_read(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "name", "a/b/c", "org/", "/name", "../name", "org/na me", "org/name.git", "org/a--b",
        "oci://host", "oci://host/UPPER:v1", "oci://host/a:b:c", f"oci://host/a@{DIGEST}0",
        "oci:///a:v1", "ftp://org/name", "modelscope://name", "", "org/name@", "org/né",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="cannot read REPO"):
        parse_place(text)


def test_a_registry_without_its_scheme_is_told_how_to_write_it():
    with pytest.raises(UsageError, match="oci://localhost:5000/smollm2:q8_0"):
        parse_place("localhost:5000/smollm2:q8_0")


@pytest.mark.parametrize(
    "text",
    ["oci://me:s3cret@host/a:v1", "https://s3cret@huggingface.co/org/name", "hf://s3cret@org/name"],
)
def test_a_password_in_it_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError) as caught:
        parse_place(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("localhost:5000", "http"), ("127.0.0.1:5000", "http"), ("127.9.9.9", "http"),
        ("[::1]:5000", "http"), ("ghcr.io", "https"), ("localhost.evil.example", "https"),
        ("10.0.0.1:5000", "https"),
    ],
)  # fmt: skip
def test_only_this_machine_is_spoken_to_without_encryption(host, scheme):
    assert OciReference(host, "a", "v1").url == f"{scheme}://{host}/v2/"


@given(st.text(max_size=60))
def test_whatever_is_typed_is_read_or_refused(text):
    try:
        place = parse_place(text)
    except UsageError:
        return
    assert parse_place(str(place)) == (
        place
        if not isinstance(place, OciReference) or place.tag or place.digest
        else OciReference(place.host, place.repository, "latest")
    )
