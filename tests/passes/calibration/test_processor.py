"""Matrix tiles are used only where code for them is generated and Linux permits it."""

from __future__ import annotations

import pytest

from passes.calibration import processor


@pytest.fixture(autouse=True)
def ask_anew():
    processor.has_matrix_tiles.cache_clear()
    yield
    processor.has_matrix_tiles.cache_clear()


@pytest.fixture
def tiles(monkeypatch, tmp_path):
    """A processor that has them, and a system that permits them."""
    from llvmlite import binding

    features = {"amx-tile": True, "amx-bf16": True}
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(processor.sys, "platform", "linux")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(processor, "_linux_permits", lambda: True)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : fpu amx_tile amx_bf16 avx2\n")
    return features


def test_a_processor_that_has_tiles(tiles):
    assert processor.has_matrix_tiles()


def test_one_that_lacks_the_instruction(tiles):
    tiles["amx-bf16"] = False
    assert not processor.has_matrix_tiles()


def test_linux_is_asked_before_numba(tiles, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2\n")
    assert not processor.has_matrix_tiles()


def test_where_linux_says_nothing_numba_is_asked(tiles, tmp_path):
    (tmp_path / "cpuinfo").unlink()
    assert processor.has_matrix_tiles()


def test_a_system_that_refuses(tiles, monkeypatch):
    monkeypatch.setattr(processor, "_linux_permits", lambda: False)
    assert not processor.has_matrix_tiles()


def test_kernels_that_are_compiled_for_another_processor(tiles, monkeypatch):
    from numba import config

    monkeypatch.setattr(config, "CPU_NAME", "generic")
    assert not processor.has_matrix_tiles()


@pytest.mark.parametrize("platform, machine", [("darwin", "x86_64"), ("linux", "aarch64")])
def test_other_systems_are_not_asked(tiles, monkeypatch, platform, machine):
    monkeypatch.setattr(processor.sys, "platform", platform)
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    assert not processor.has_matrix_tiles()
