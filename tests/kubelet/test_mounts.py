"""Changes of a mount table."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from numa_trio.kubelet.mounts import follow_mounts


async def test_flood_of_mounts_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A start of many pods makes thousands of mounts: ten changes a second are told."""
    table = tmp_path / "mountinfo"
    table.touch()

    async def change(_table: int) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio.lowlevel, "wait_writable", change)
    told = []
    with trio.move_on_after(1.05):
        await follow_mounts(lambda: told.append(1), table)
    assert len(told) == 11


async def test_what_is_no_mount_table_tells_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Neither a file nor one that is not there."""
    for name in ("file", "nothing"):
        (tmp_path / "file").touch()
        with trio.move_on_after(3600) as waited:
            await follow_mounts(lambda: pytest.fail("nothing has changed"), tmp_path / name)
        assert waited.cancelled_caught
