from __future__ import annotations

from pathlib import Path

from bench.disk import contestants


def test_every_contestant_reads_from_the_disk_and_writes_to_it():
    copy, *ours = contestants(Path("model"), Path("out"))
    assert copy.commands[0][0] == "cp" and copy.tool != ours[0].tool
    assert len({one.work for one in ours}) == len(ours) == 6
    for one in (copy, *ours):
        assert one.cold == (Path("model"),) and one.makes == (Path("out"),)
        assert one.commands[-1][:2] == ["find", Path("out")] and "sync" in one.commands[-1]
    without = ["none" in one.commands[0] for one in ours]
    assert without == ["none" in one.work for one in ours] == [False, True] * 3
