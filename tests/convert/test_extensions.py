"""What other packages offer: found by name, loaded late, refused with the package's name."""

from __future__ import annotations

import sys

import pytest

from convert.__main__ import main
from convert.architectures import architecture_named, architecture_of
from convert.errors import ExtensionError, UnsupportedArchitectureError, UsageError
from convert.extensions import offering_packages
from golden.thresholds import thresholds_for
from passes.catalogue import added_pass, added_pass_names
from passes.encodings import encoding, encoding_names
from targets import target, target_names


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package: its name, its module's code, its entry points by group."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, code, **groups):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        text = ""
        for group, entries in groups.items():
            lines = [f"{key} = {module}:{value}" for key, value in entries.items()]
            text += "\n".join([f"[tricast.{group}]", *lines, ""])
        (info / "entry_points.txt").write_text(text)
        # The cache is by path: a new one is another.
        extra = tmp_path / f"path-{name}"
        extra.mkdir()
        monkeypatch.syspath_prepend(str(extra))
        sys.modules.pop(module, None)

    return install


CODE = """
from convert.architectures.llama import Llama
from passes.encodings.integers import IntegerEncoding
from passes.lfa_fusion import LfaFusion
from targets.onnx.target import OnnxTarget

class Mine(OnnxTarget):
    name = "mine"

class MyPass(LfaFusion):
    name = "my_pass"

class MyLlama(Llama):
    "Mine."
    names = ("MineForCausalLM",)

def my_int8():
    made = IntegerEncoding("my_int8", -127, 127)
    made.judged_as = "int8"
    return made
"""


def test_a_package_adds_one_of_each_kind(installed, capsys):
    installed(
        "tricast-mine",
        CODE,
        targets={"mine": "Mine"},
        encodings={"my_int8": "my_int8"},
        passes={"my_pass": "MyPass"},
        architectures={"MineForCausalLM": "MyLlama"},
    )
    assert "tricast_mine" not in sys.modules
    assert "mine" in target_names()
    assert target("mine").name == "mine"
    assert target("onnx").name == "onnx"
    assert "my_int8" in encoding_names()
    assert encoding("my_int8") is encoding("my_int8")
    assert thresholds_for("my_int8") == thresholds_for("int8")
    assert added_pass_names() == ("my_pass",)
    assert added_pass("my_pass").name == "my_pass"
    assert architecture_of({"architectures": ["MineForCausalLM"]}).names == ("MineForCausalLM",)
    assert offering_packages() == ("tricast-mine",)
    for what in ("targets", "encodings", "passes", "architectures"):
        assert main(["list", what]) == 0
    listed = capsys.readouterr().out
    for name in ("mine ", "my_int8 ", "my_pass ", "MineForCausalLM "):
        assert f"\n{name}" in listed


def test_nothing_is_offered_where_nothing_is_installed():
    assert offering_packages() == ()
    assert added_pass_names() == ()
    assert architecture_named("MineForCausalLM") is None
    with pytest.raises(UnsupportedArchitectureError):
        architecture_of({"architectures": ["MineForCausalLM"]})
    with pytest.raises(UsageError, match="no package adds a pass"):
        added_pass("kv_cache")


@pytest.mark.parametrize(
    ("code", "name", "value", "says"),
    [
        ("raise RuntimeError('no')", "bad", "Bad", "RuntimeError: no"),
        ("import nonsense_module", "bad", "Bad", "No module named 'nonsense_module'"),
        ("raise SystemExit(3)", "bad", "Bad", "SystemExit: 3"),
        ("", "bad", "Bad", "has no attribute 'Bad'"),
        ("Bad = 3", "bad", "Bad", "not callable"),
        ("class Bad: pass", "bad", "Bad", "a targets.base.Target"),
        ("from targets.base import Target as Bad", "bad", "Bad", "abstract"),
        (CODE + "Bad = Mine", "bad", "Bad", "it calls itself mine"),
        (CODE, "No-Name", "Mine", "that is no name"),
        (CODE, "gguf", "Mine", "the name is built in"),
    ],
)
def test_a_broken_package_is_named(installed, capsys, code, name, value, says):
    installed("tricast-bad", code, targets={name: value})
    with pytest.raises(ExtensionError, match=r"the package tricast-bad 1\.2 offers") as caught:
        target(name)
    assert says in str(caught.value)
    assert target("onnx").name == "onnx"
    assert main(["list", "targets"]) == 0
    assert "cannot be used: the package tricast-bad 1.2" in capsys.readouterr().out


def test_a_target_must_have_all_that_a_target_has(installed):
    code = (
        "from targets.onnx.target import OnnxTarget\nfrom targets.base import Target\n"
        "class Bare(Target):\n    name = 'bare'\n"
        "    passes = lay_out = runner = stored_weights = OnnxTarget.passes\n"
    )
    installed("tricast-bare", code, targets={"bare": "Bare"})
    with pytest.raises(ExtensionError) as caught:
        target("bare")
    assert "without summary, encodings, families" in str(caught.value)


def test_two_packages_may_not_offer_the_same_name(installed):
    installed("tricast-one", CODE, targets={"mine": "Mine"})
    installed("tricast-two", CODE, targets={"mine": "Mine"})
    with pytest.raises(ExtensionError) as caught:
        target("mine")
    assert {"tricast-one", "tricast-two"} <= set(str(caught.value).replace(",", " ").split())


def test_a_family_of_groups_is_offered_by_one_name(installed):
    code = (
        "from passes.encodings.int8 import INT8\nfrom passes.encodings.integers import *\n"
        "class Grouped(IntegerEncoding):\n"
        "    def __init__(self, group=32):\n"
        "        super().__init__(f'mine_g{group}' if group != 32 else 'mine', -127, 127, group)\n"
        "    def grouped(self, group):\n        return Grouped(group)\n"
    )
    installed("tricast-groups", code, encodings={"mine": "Grouped"})
    assert encoding("mine").group == 32
    assert (encoding("mine_g48").group, encoding("mine_g48").name) == (48, "mine_g48")
