"""Shipped profiles are sound and sourced; others come from files; errors name what is wrong."""

from __future__ import annotations

import pytest
import yaml

from convert.errors import UsageError
from convert.hardware.catalogue import THIS, hardware_names, load_hardware
from convert.listing import listing
from targets.gaudi.cards import CARDS
from tests.support.machines import MACHINE

WANTED = {
    *("gaudi1", "gaudi2", "gaudi3", "xeon-spr", "xeon-max", "xeon-4s"),
    *("gpu-max-1550-tile", "axion-c4a-32", "graviton4", "h200", "this"),
}


def test_every_profile_is_shipped_and_every_figure_has_a_source():
    assert set(hardware_names()) == WANTED
    for name in WANTED - {THIS}:
        hardware = load_hardware(name)
        for what, figure in hardware.figures().items():
            sourced = "http" in figure.source or len(figure.source.split()) > 3
            assert sourced, f"{name}: {what}: {figure.source}"


@pytest.mark.parametrize("name", CARDS)
def test_cards_are_the_same_for_the_target(name):
    hardware, card = load_hardware(name), CARDS[name]
    assert (hardware.capacity, hardware.bandwidth.value) == (card.memory, card.bandwidth)
    assert hardware.settings == {"card": name}
    assert ("fp8" in hardware.compute) == (card.fp8_largest is not None)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(MACHINE))
    assert load_hardware(str(path)).title == "a machine of four cards"


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(UsageError, match="no hardware 'gaudi9'") as caught:
        load_hardware("gaudi9")
    assert all(name in str(caught.value) for name in WANTED)


def test_faults_of_a_file_are_named(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**MACHINE, "colour": "red", "devices": "many"}))
    with pytest.raises(UsageError, match="does not follow the schema") as caught:
        load_hardware(str(path))
    assert "colour" in str(caught.value)
    assert "devices" in str(caught.value)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"- 1", b""])
def test_what_is_no_profile_at_all_is_refused(tmp_path, content):
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"own\.yaml"):
        load_hardware(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read the hardware profile"):
        load_hardware(str(tmp_path / "none.yaml"))


def test_all_are_listed_with_what_they_are():
    listed = dict(listing("hardware"))
    assert set(listed) == WANTED
    assert listed["gaudi2"] == "Gaudi2: 8 x 96 GB, 2,450 GB/s a card"
    assert "this" in listed["this"]
