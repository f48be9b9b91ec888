import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import BrokenInputError, UnsafePathError
from convert.manifest import read_manifest
from convert.publishing.contents import Item
from convert.publishing.oci_manifest import Layer, image_manifest, model_config, parse_layers

DIGEST = "sha256:" + "0a" * 32


def layer(**changes):
    told = {"digest": DIGEST, "size": 3, "annotations": {"org.cncf.model.filepath": "a/b.gguf"}}
    return {**told, **changes}


def manifest_of(*layers):
    return json.dumps({"layers": layers}).encode()


def test_what_is_written_is_read(artifact):
    items = [Item.of_bytes("model.gguf", b"a"), Item.of_bytes("README.md", b"b")]
    manifest = read_manifest(artifact)
    config = Item.of_bytes("", model_config(manifest, "apache-2.0", items))
    data = image_manifest(manifest, "apache-2.0", items, config)
    assert data == image_manifest(manifest, "apache-2.0", items, config)
    assert parse_layers(data) == tuple(Layer(each.path, each.digest, each.size) for each in items)
    kinds = [each["mediaType"] for each in json.loads(data)["layers"]]
    assert kinds == [
        "application/vnd.cncf.model.weight.v1.raw",
        "application/vnd.cncf.model.doc.v1.raw",
    ]


def test_what_oras_pushed_is_read_by_its_titles():
    found = parse_layers(manifest_of(layer(annotations={"org.opencontainers.image.title": "x"})))
    assert found == (Layer("x", DIGEST, 3),)


def test_a_licence_without_an_identifier_is_no_spdx_expression(artifact):
    config = json.loads(model_config(read_manifest(artifact), "llama3.1", []))
    assert "licenses" not in config["descriptor"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"layers": 3}', manifest_of(3), manifest_of(layer(annotations={})),
        manifest_of(layer(size=-1)), manifest_of(layer(size="3")), manifest_of(layer(size=True)),
        manifest_of(layer(digest="sha256:00")), manifest_of(layer(digest="md5:" + "0" * 64)),
        manifest_of(layer(digest="sha256:" + "g" * 64)), manifest_of(layer(), layer()),
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_damaged_manifests_are_refused(data):
    with pytest.raises(BrokenInputError):
        parse_layers(data)


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", ""])
def test_paths_outside_are_refused(path):
    with pytest.raises(UnsafePathError):
        parse_layers(manifest_of(layer(annotations={"org.cncf.model.filepath": path})))


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(data):
    with contextlib.suppress(BrokenInputError):
        parse_layers(data)
