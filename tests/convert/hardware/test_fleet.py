"""A fleet is what its options say, then its file, then what is assumed."""

from __future__ import annotations

import pytest

from convert.errors import UsageError
from convert.hardware.fleet import Fleet, asked_fleet, fleet_of, parse_speed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25", 3.125e9),
        ("25Gbit/s", 3.125e9),
        ("25 Gbps", 3.125e9),
        ("100Gb/s", 12.5e9),
        ("100G", 12.5e9),
        ("3GB/s", 3e9),
        ("3GB", 3e9),
        ("1.5TB/s", 1.5e12),
        ("800Mbit", 1e8),
        ("500kB/s", 5e5),
    ],
)
def test_speeds_in_bits_and_bytes(text, expected):
    assert parse_speed(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "fast", "-1", "0", "0GB/s", "25 gigabit", "GB/s", "1e9", "∞"])
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(UsageError, match="cannot read the speed"):
        parse_speed(text)


def test_options_go_before_the_file_and_the_file_before_what_is_assumed(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        'cores: 64\nprice: 2.5\nnetwork: {value: 1e9, source: "the data sheet"}\n'
        'disk: {value: 3e9, source: "measured: dd"}\n'
    )
    made = fleet_of(3, network="2GB/s", profile=file)
    assert (made.workers, made.cores, made.price) == (3, 64, 2.5)
    assert made.network.value == 2e9
    assert "--network" in made.network.source
    assert made.disk.source == "measured: dd"
    assert made.start.is_assumed
    assert fleet_of(3, cores=8, price=0, profile=file).price == 0


@pytest.mark.parametrize(
    "text",
    [
        "cores: 0",
        "speed: 3",
        "disk: 3e9",
        "disk: {value: -1, source: of the data sheet}",
        "price: .nan",
        "[1, 2]",
        "{",
        "",
    ],
)
def test_a_file_that_describes_no_fleet_is_refused(text, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UsageError):
        fleet_of(1, profile=file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read the fleet"):
        fleet_of(1, profile=tmp_path / "none.yaml")


@pytest.mark.parametrize("options", [{"cores": 0}, {"price": -1.0}, {"price": float("inf")}])
def test_a_fleet_that_cannot_be_is_refused(options):
    with pytest.raises(UsageError, match="cannot be"):
        fleet_of(1, **options)
    with pytest.raises(UsageError, match="cannot be"):
        fleet_of(0)


def test_a_fleet_without_workers_is_refused():
    assert asked_fleet(None, {"cores": None}, out="out") is None
    with pytest.raises(UsageError, match="how many") as caught:
        asked_fleet(None, {"cores": None, "price": 2.0}, out="out")
    assert "price" in str(caught.value)


def test_workers_write_into_folders_only():
    assert asked_fleet(2, {}, out="/mnt/out").shared
    assert not asked_fleet(2, {"cores": None}, out="s3://bucket/out").shared


def test_every_figure_has_a_source():
    for figure in Fleet(workers=1).figures().values():
        assert figure.is_assumed or "https://" in figure.source or "measured" in figure.source
