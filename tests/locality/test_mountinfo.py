"""The mount table: its lines, and which mount a path lies on."""

import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.locality import mountinfo
from numa_trio.locality.mountinfo import Mount, MountTable, is_below

LINE = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"


def mounts_in(content: bytes) -> tuple[Mount, ...]:
    return MountTable.of(content).mounts


def test_line_of_the_manual() -> None:
    """The example of proc_pid_mountinfo(5)."""
    (mount,) = mounts_in(LINE)
    assert mount == Mount(
        id=36,
        parent=35,
        device="98:0",
        root="/mnt1",
        point="/mnt2",
        file_system="ext3",
        source="/dev/root",
        options={"rw": "", "errors": "continue"},
    )
    assert mount.has_block_device


@pytest.mark.parametrize("optional", [b"", b"shared:2 ", b"shared:2 master:1 propagate_from:3 "])
def test_any_number_of_optional_fields(optional: bytes) -> None:
    """There may be none or several of the fields before the hyphen."""
    line = LINE.replace(b"master:1 ", optional)
    assert mounts_in(line) == mounts_in(LINE)


def test_source_without_a_name() -> None:
    """A source may be empty."""
    (mount,) = mounts_in(b"36 35 0:5 / /x rw -  tmpfs  rw\n".replace(b"-  ", b"- "))
    assert (mount.file_system, mount.source) == ("tmpfs", "")


def test_option_with_a_comma_and_one_given_twice() -> None:
    """An escaped comma belongs to a value, and the first of equal options counts."""
    (mount,) = mounts_in(
        rb"36 35 0:5 / /x rw - overlay overlay rw,upperdir=/a\054b,lowerdir+=/1,lowerdir+=/2"
    )
    assert mount.options["upperdir"] == "/a,b"
    assert mount.options["lowerdir+"] == "/1"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"36 35 98:0 /mnt1 /mnt2 rw",
        b"36 35 98:0 /mnt1 /mnt2 rw - ext3",
        b"x 35 98:0 /mnt1 /mnt2 rw - ext3 /dev/root rw",
        b"36 35 98 /mnt1 /mnt2 rw - ext3 /dev/root rw",
        b"36 35 98:0 /mnt1 mnt2 rw - ext3 /dev/root rw",
        b"36 35 98:0 /mnt1 /m\0nt2 rw - ext3 /dev/root rw",
        b"36 35 \xff:0 /mnt1 /mnt2 rw - ext3 /dev/root rw",
    ],
)
def test_a_line_in_another_form_is_left_out(line: bytes) -> None:
    """The others are read."""
    assert mounts_in(line + b"\n" + LINE) == mounts_in(LINE)


paths = st.binary(max_size=12).map(lambda raw: b"/" + raw.replace(b"\0", b"").replace(b"/", b"-"))


def escaped(path: bytes) -> bytes:
    """As the kernel: blank, tab, newline, backslash and the number sign become octal."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in path)


@given(root=paths, point=paths, source=paths)
def test_any_names_are_read_as_they_were(root: bytes, point: bytes, source: bytes) -> None:
    """Whatever bytes a path has, they survive the escapes."""
    line = b"1 0 8:1 %s %s rw - ext4 %s rw\n" % tuple(map(escaped, (root, point, source)))
    (mount,) = mounts_in(line)
    assert os.fsencode(mount.root) == root
    assert os.fsencode(mount.source) == source
    assert os.fsencode(mount.point) == posixpath.normpath(point)


@given(st.binary(max_size=200) | st.lists(st.sampled_from(LINE.split(b" "))).map(b" ".join))
def test_no_bytes_are_an_error(content: bytes) -> None:
    """Whatever a table holds, what is read of it can be looked up."""
    MountTable.of(content).holding("/mnt2/x")


def table(*lines: str) -> MountTable:
    """Mounts `id parent point`, the file system named as the id."""
    text = "".join(
        f"{number} {parent} 8:{number} / {point} rw - ext4 /dev/{number} rw\n"
        for number, parent, point in (line.split() for line in lines)
    )
    return MountTable.of(text.encode())


def lies_on(mounts: MountTable, path: str) -> int | None:
    mount = mounts.holding(path)
    return None if mount is None else mount.id


def test_the_nearest_mount_above_counts() -> None:
    """A name that only begins alike is another folder."""
    mounts = table("1 0 /", "2 1 /data", "3 2 /data/a", "4 1 /database")
    assert [lies_on(mounts, path) for path in ("/", "/dat", "/data", "/data/b", "/data/a/b")] == [
        *(1, 1, 2, 2, 3)
    ]
    assert lies_on(mounts, "/database/data/a") == 4


def test_what_is_mounted_over_another_hides_it() -> None:
    """A later mount at a point or above hides the earlier, with all that is mounted there."""
    mounts = table("1 0 /", "2 1 /data", "3 2 /data/a", "4 2 /data", "5 1 /srv/x", "6 1 /srv")
    assert lies_on(mounts, "/data") == 4
    assert lies_on(mounts, "/data/a") == 4
    assert lies_on(mounts, "/srv/x") == 6
    assert lies_on(table("1 0 /", "2 1 /data", "3 1 /data"), "/data") == 3


def test_a_root_mounted_over_the_first() -> None:
    """The root file system hides the initramfs, which names itself as its parent."""
    mounts = table("1 1 /", "2 1 /", "3 1 /old", "4 2 /new")
    assert [lies_on(mounts, path) for path in ("/", "/old", "/new")] == [2, 2, 4]


def test_mounts_in_a_circle_end() -> None:
    """Two mounts that name each other as parents are no reason to stop."""
    mounts = table("1 0 /", "2 3 /", "3 2 /", "4 1 /", "1 4 /")
    assert lies_on(mounts, "/x") in (1, 4)


def test_of_many_mounts_only_those_on_the_way_are_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host with ten thousand costs what finding their places costs."""
    mounts = table("1 0 /", "2 1 /data", *(f"{n} 1 /run/{n}" for n in range(3, 1000)))
    understood = []
    whole = mountinfo._parse
    monkeypatch.setattr(mountinfo, "_parse", lambda line: understood.append(line) or whole(line))
    assert lies_on(mounts, "/data/a/b") == 2
    assert len(understood) == 1


def test_a_table_without_root_leads_nowhere() -> None:
    """Without a mount at / nothing can be said."""
    assert lies_on(table("2 1 /data"), "/data") is None


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [("/a", "/", True), ("/a", "/a", True), ("/a/b", "/a", True), ("/ab", "/a", False)],
)
def test_below(path: str, folder: str, below: bool) -> None:
    """A folder is below itself."""
    assert is_below(path, folder) is below
