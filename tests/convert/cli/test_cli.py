"""The command line hands its options to the commands unchanged."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from convert import commands
from convert.__main__ import main
from convert.cli import checking, converting, reading, using
from convert.cli.options import ALL_CORES


@pytest.fixture
def called(monkeypatch):
    calls = {}
    names = ("run", "import_checkpoint", "inspect", "verify", "golden_record", "golden_compare")
    for name in (*names, "list_things", "bench", "plan"):

        def record(*given, _name=name, **options):
            calls[_name] = (given, options)

        monkeypatch.setattr(commands, name, record)
    return calls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--version"], "tricast "), (["-h"], "Usage: convert"), (["run", "-h"], "--out")],
)
def test_what_people_type_first(arguments, said, capsys):
    assert main(arguments) == 0
    assert said in capsys.readouterr().out


def test_run_takes_many_targets(called, tmp_path):
    arguments = ["run", "model", "--to", "gguf:q4_0", "--to", "onnx", "--out", str(tmp_path)]
    arguments += ["--no-gate", "--no-tokenizer", "--strict", "--threads", "3"]
    arguments += ["--restart", "--memory", "1GB", "--split-max-size", "2G"]
    arguments += ["--set", "cards=8", "--set", "card=gaudi2"]
    arguments += ["--method", "gptq", "--smooth-quant", "0.4", "--target-bits", "4.5"]
    arguments += ["--frozen", "out/a/manifest.json"]
    assert main([*arguments, "--tensor-parallel", "4"]) == 0
    (model, recipe, to), options = called["run"]
    assert (model, recipe, to) == ("model", None, ["gguf:q4_0", "onnx"])
    assert options["out"] == str(tmp_path)
    assert (options["gate"], options["tokenizer"], options["strict"]) == (False, False, True)
    assert options["threads"] == 3
    assert (options["restart"], options["memory"]) == (True, "1GB")
    assert options["frozen"] == Path("out/a/manifest.json")
    assert options["split_max_size"] == "2G"
    assert options["common"] == {
        "tensor_parallel": 4,
        "method": "gptq",
        "smooth_quant": "0.4",
        "target_bits": 4.5,
        "max_kld": None,
    }
    assert options["settings"] == ["cards=8", "card=gaudi2"]


def test_plan_takes_what_says_what_to_make(called):
    arguments = ["plan", "model", "--recipe", "three-ways", "--set", "cards=8", "--json"]
    machines = ["--hardware", "gaudi2", "--hardware", "own.yaml", "--batch", "4", "--files"]
    lengths = ["--context", "107", "--prompt-tokens", "7", "--out", "s3://b/there"]
    fleet = ["--workers", "3", "--cores-per-worker", "32", "--network", "25", "--storage", "9GB/s"]
    fleet += ["--price", "1.5", "--fleet", "own.yaml"]
    asked = ["--revision", "v1", "--tensor-parallel", "2", *machines, *lengths, *fleet]
    assert main([*arguments, *asked]) == 0
    assert called["plan"] == (
        ("model", "three-ways", []),
        {
            "revision": "v1",
            "common": {"tensor_parallel": 2, "target_bits": None},
            "settings": ["cards=8"],
            "as_json": True,
            "hardware": ["gaudi2", "own.yaml"],
            "batch": 4,
            "context": 107,
            "prompt_tokens": 7,
            "files": True,
            "out": "s3://b/there",
            "workers": 3,
            "fleet": {
                "cores": 32,
                "network": "25",
                "storage": "9GB/s",
                "price": 1.5,
                "profile": Path("own.yaml"),
            },
        },
    )


def test_run_defaults_to_the_gate_and_all_cores(called):
    assert main(["run", "model", "--recipe", "three-ways"]) == 0
    (_, recipe, to), options = called["run"]
    assert (recipe, to) == ("three-ways", [])
    assert (options["gate"], options["tokenizer"], options["strict"]) == (True, True, False)
    assert (options["threads"], options["golden"]) == (ALL_CORES, None)
    assert (options["restart"], options["memory"]) == (False, None)
    assert options["split_max_size"] is None


@pytest.mark.parametrize(
    ("arguments", "name", "given", "options"),
    [
        (["import", "a.gguf", "--out", "b"], "import_checkpoint", (Path("a.gguf"), Path("b")), {}),
        (["inspect", "a", "--json"], "inspect", (Path("a"),), {"as_json": True}),
        (
            [
                "bench",
                "a",
                "--prompt-tokens",
                "9,8",
                "--batch",
                "1,4",
                "--plot",
                "p.svg",
                "--new-tokens",
                "3",
                "--profile",
                "--threads",
                "1",
            ],
            "bench",
            (Path("a"),),
            {
                "prompt_tokens": "9,8",
                "batch": "1,4",
                "plot": Path("p.svg"),
                "new_tokens": 3,
                "profile": True,
                "as_json": False,
                "threads": 1,
            },
        ),
        (
            ["verify", "a", "--no-gate", "--threads", "1", "--key", "k"],
            "verify",
            ("a",),
            {
                "golden": None,
                "gate": False,
                "junit": None,
                "threads": 1,
                "key": Path("k"),
                "authority": None,
                "identity": None,
                "issuer": None,
            },
        ),
        (
            ["golden", "record", "m", "--out", "g", "--threads", "1"],
            "golden_record",
            ("m", Path("g")),
            {"prompts": None, "revision": None, "lora": None, "tokenizer": True, "threads": 1},
        ),
        (
            ["golden", "compare", "a", "--golden", "g", "--threads", "1"],
            "golden_compare",
            (Path("a"), Path("g")),
            {"as_json": False, "threads": 1},
        ),
        (["list", "targets"], "list_things", ("targets",), {}),
    ],
)
def test_every_command_reaches_its_function(called, arguments, name, given, options):
    assert main(arguments) == 0
    assert called[name] == (given, options)


def test_every_command_says_what_it_does():
    """Its first line, cut where it ends, is what `convert --help` shows."""
    commands_of = (checking, converting, reading, using)
    functions = [
        value
        for module in commands_of
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    assert len(functions) >= 11
    assert all(
        (function.__doc__ or "").split("\n")[0].endswith((".", ":")) for function in functions
    )
