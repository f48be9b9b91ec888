from __future__ import annotations

from convert.versions import installed_versions


def test_versions_name_what_ran():
    versions = installed_versions()
    assert {"python", "torch", "transformers", "openvino", "gguf"} <= versions.keys()
