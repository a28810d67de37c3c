"""One look at a host: what several targets need is read once."""

from pathlib import Path

from attrs import define, field, frozen

from numa_trio.locality.files import Unreadable, follow_links, read_bytes, read_text
from numa_trio.locality.host import MOUNT_TABLE, Host
from numa_trio.locality.mountinfo import Mount, MountTable
from numa_trio.locality.things import DeadEnd, unseen
from numa_trio.topology.machine import Machine

# Ten thousand mounts, each with a long line; four times as much is needed to understand them.
_LONGEST_TABLE = 4 << 20


@frozen
class Spot:
    """A path without links, and the mount on which it lies.

    If it `hangs`, a look at it may wait for somebody else: a server, or a program.
    """

    path: str
    mount: Mount
    hangs: bool


@define(eq=False)
class Survey:
    """A host and its NUMA nodes at one moment. Take a new one to see what has changed."""

    host: Host
    machine: Machine
    _mounts: MountTable | DeadEnd | None = field(init=False, default=None)
    _texts: dict[Path, str | None] = field(init=False, factory=dict)

    def mounts(self) -> MountTable | DeadEnd:
        """The host's mount table, or why it is not visible."""
        if self._mounts is None:
            self._mounts = self._read_mounts()
        return self._mounts

    def numa_node(self, folder: Path) -> str | None:
        """The text of the folder's `numa_node`; None without such a file. Raises `Unreadable`."""
        if folder not in self._texts:
            self._texts[folder] = read_text(folder / "numa_node")
        return self._texts[folder]

    def spot(self, path: str) -> Spot | DeadEnd:
        """Where the host's path leads, or why that is not visible.

        Symbolic links are followed as far as they can be seen. Where a server might be asked,
        which may never answer, nothing is looked at. Raises `Unreadable` for links that go in
        circles.
        """
        mounts = self.mounts()
        if isinstance(mounts, DeadEnd):
            return mounts
        assert self.host.root is not None  # where the mount table is
        real = follow_links(self.host.root, path, lambda step: not may_hang(mounts, step))
        mount = mounts.holding(real)
        if mount is None:
            return unseen("the host's mount table has no mount at /")
        return Spot(real, mount, hangs=may_hang(mounts, real))

    def _read_mounts(self) -> MountTable | DeadEnd:
        path = self.host.inside(MOUNT_TABLE)
        try:
            content = None if path is None else read_bytes(path, _LONGEST_TABLE)
        except Unreadable as problem:
            return unseen(str(problem))
        if content is None:
            return unseen(self.host.how_to_see(MOUNT_TABLE, "the host's mount table"))
        table = MountTable.of(content)
        if table.empty:
            return unseen(f"{path}: expected a mount table, as in {MOUNT_TABLE}")
        return table


# Of the file systems without a block device, those that ask neither a server nor a program.
_ANSWER_AT_ONCE = frozenset({"btrfs", "zfs", "bcachefs", "overlay", "tmpfs", "rootfs", "ramfs"})


def may_hang(mounts: MountTable, path: str) -> bool:
    """Whether looking at a path may wait for somebody else: a server, or a program."""
    mount = mounts.holding(path)
    if mount is None:
        return False
    if mount.has_block_device:
        return mount.file_system.startswith("fuse")
    return mount.file_system not in _ANSWER_AT_ONCE
