"""The repository keeps its own rules: small files, mirrored tests, layers, light start-up."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("convert", "passes", "targets", "golden", "recipes")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EVERYTHING = [
    *SOURCES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").glob("*.py")),
]

FORBIDDEN_IMPORTS = {
    "passes": ("targets", "golden", "convert.pipeline", "convert.cli", "convert.stream"),
    "targets": ("golden", "convert.pipeline", "convert.cli", "convert.commands", "convert.stream"),
    "golden": ("convert.pipeline", "convert.cli", "convert.commands", "convert.stream"),
    "convert/architectures": ("targets", "golden", "convert.pipeline", "convert.cli"),
    "convert/sources": ("targets", "golden", "passes", "convert.pipeline", "convert.cli"),
}

HEAVY = {
    "torch",
    "transformers",
    "openvino",
    "onnxruntime",
    "numba",
    "llama_cpp",
    "numpy",
    "onnx_ir",
    "pydantic",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_no_file_is_over_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_median_file_is_under_150_lines():
    assert statistics.median(len(path.read_text().splitlines()) for path in SOURCES) < 150


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_no_function_is_over_60_lines(path):
    long = [node.name for node in functions(path) if node.end_lineno - node.lineno + 1 > 60]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_says_what_it_is_for(path):
    text = path.read_text()
    assert not text or ast.get_docstring(ast.parse(text))


def has_code(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(ast.parse(path.read_text()))
    )


@pytest.mark.parametrize("path", [path for path in SOURCES if has_code(path)], ids=relative)
def test_every_module_is_named_by_a_test_at_the_mirrored_place(path):
    """A module's tests are in its own test file, or in its folder's."""
    module = path.relative_to(ROOT)
    folder = ROOT / "tests" / module.parent
    stem = module.stem if module.stem != "__init__" else module.parent.name
    own = folder / f"test_{stem}.py"
    if own.is_file():
        return
    dotted = ".".join(module.with_suffix("").parts).removesuffix(".__init__")
    tests = sorted(folder.glob("test_*.py"))
    assert any(dotted in imported_modules(test) for test in tests), (
        f"neither {relative(own)} nor a test beside it imports {dotted}"
    )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_layers_import_downwards_only(path):
    for folder, forbidden in FORBIDDEN_IMPORTS.items():
        if relative(path).startswith(f"{folder}/"):
            upward = {
                name
                for name in imported_modules(path)
                if any(name == module or name.startswith(f"{module}.") for module in forbidden)
            }
            assert not upward


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if not relative(path).startswith("targets/")], ids=relative
)
def test_nothing_outside_a_target_asks_which_target_it_is(path):
    names = {"gguf", "openvino", "gaudi", "onnx", "ipex"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            constants = {
                constant.value
                for constant in ast.walk(node)
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
            }
            assert not constants & names


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from convert.__main__ import main; code = main(['--help']);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage" in ended.stdout
    assert not HEAVY & set(ended.stderr.split())
