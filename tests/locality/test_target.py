"""The targets that people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.locality.target import Kind, Target, parse_target


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("/dev/nvme0n1", Kind.DISK, "/dev/nvme0n1"),
        ("/dev//disk/./by-id/x", Kind.DISK, "/dev/disk/by-id/x"),
        ("disk:/dev/mapper/vg-lv", Kind.DISK, "/dev/mapper/vg-lv"),
        ("disk:nvme0n1", Kind.DISK, "nvme0n1"),
        ("disk:cciss!c0d0", Kind.DISK, "cciss!c0d0"),
        ("net:eth2", Kind.NET, "eth2"),
        ("net:bond0.100", Kind.NET, "bond0.100"),
        ("net:fifteencharacte", Kind.NET, "fifteencharacte"),
        ("net:ens*f0", Kind.NET, "ens*f0"),
        ("net:enp[12]s0f0np[01]*", Kind.NET, "enp[12]s0f0np[01]*"),
        ("ib:mlx5_0", Kind.IB, "mlx5_0"),
        ("0000:3B:00.0", Kind.PCI, "0000:3b:00.0"),
        ("3b:00.0", Kind.PCI, "0000:3b:00.0"),
        ("pci:10000:e1:1f.7", Kind.PCI, "10000:e1:1f.7"),
        ("pci:0000:3b:*", Kind.PCI, "0000:3b:*"),
        ("0000:3b:*", Kind.PCI, "0000:3b:*"),
        ("/", Kind.MOUNT, "/"),
        ("/dev", Kind.MOUNT, "/dev"),
        ("//var/lib//elasticsearch/", Kind.MOUNT, "/var/lib/elasticsearch"),
        ("/mnt/a b", Kind.MOUNT, "/mnt/a b"),
        ("mount:/dev/shm", Kind.MOUNT, "/dev/shm"),
        ("mount:/data", Kind.MOUNT, "/data"),
        ("eth2", None, "eth2"),
        ("sda1", None, "sda1"),
        ("ens*", None, "ens*"),
    ],
)
def test_kinds_are_told_by_prefix_or_form(text: str, kind: Kind | None, name: str) -> None:
    """A path below /dev is a disk, another a directory; only a bare name leaves it open."""
    target = parse_target(text)
    assert (target.kind, target.name, str(target)) == (kind, name, text)
    assert target.is_glob == any(character in text for character in "*?[")
    assert target.prefixed == text.startswith(("disk:", "net:", "pci:", "mount:", "ib:"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"expected a block device \(/dev/… or disk:nvme0n1\), a network interface"),
        ("a\tb", "no name is so long or has such characters"),
        ("/a\0b", "no name is so long or has such characters"),
        ("/\ud800", "no name is so long or has such characters"),
        ("/" + "a" * 4095, "no name is so long or has such characters"),
        ("eth 2", "'eth 2' is no name of a device, nor an absolute path without '..'"),
        ("var/lib", "'var/lib' is no name of a device"),
        ("..", "'..' is no name of a device"),
        ("/var/../etc", "expected an absolute path without '..', not '/var/../etc'"),
        ("disc:sda", "has a colon is a PCI address or begins with one of disk:, net:, pci:, mount"),
        ("NET:eth2", "begins with one of disk:, net:"),
        ("00:3b:00.0", "is a PCI address or begins with"),
        ("disk:", "expected the name of a block device, as in disk:nvme0n1"),
        ("disk:a/b", "expected the name of a block device"),
        (
            "disk:/data",
            "expected a path below /dev.* for a directory leave out the prefix: '/data'",
        ),
        ("disk:/dev", "expected a path below /dev"),
        ("disk:/dev/../etc", "expected an absolute path without '..'"),
        ("disk:" + "a" * 256, "expected the name of a block device"),
        ("net:", "expected the name of a network interface"),
        ("net:a/b", "expected the name of a network interface"),
        ("net:a:b", "expected the name of a network interface"),
        ("net:..", "expected the name of a network interface"),
        ("net:sixteencharacter", "at most 15 characters"),
        ("pci:", "expected a PCI address, as in pci:0000:3b:00.0 or pci:0000:3b:*"),
        ("pci:0000:3b:00.8", "expected a PCI address"),
        ("pci:0000:3b:20.0", "expected a PCI address"),
        ("pci:eth*", "expected a PCI address"),
        ("mount:", "expected an absolute path"),
        ("mount:data", "expected an absolute path without '..', not 'data'"),
        ("ib:", "expected the name of an InfiniBand device, as in ib:mlx5_0"),
        ("ib:.", "expected the name of an InfiniBand device"),
    ],
)
def test_what_is_no_target_is_refused_with_what_is_allowed(text: str, said: str) -> None:
    """Each message says what is expected of that kind of target."""
    with pytest.raises(ValueError, match=said):
        parse_target(text)


def parsed(text: str) -> Target | str:
    try:
        return parse_target(text)
    except ValueError as problem:
        return str(problem)


@given(st.text(max_size=40) | st.from_regex(r"(disk|net|pci|mount|ib)?:?/?[a-z0-9.:*/]{0,20}"))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """Nothing but ValueError ever comes, and what is accepted is accepted again by its kind."""
    target = parsed(text)
    if isinstance(target, str):
        assert "expected" in target
    elif target.kind is not None:
        again = parse_target(f"{target.kind}:{target.name}")
        assert (again.kind, again.name) == (target.kind, target.name)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7))
def test_every_pci_address_is_one(domain: int, bus: int, device: int, function: int) -> None:
    """Each address as sysfs writes it is a card, however the letters are written."""
    address = f"{domain:04x}:{bus:02x}:{device:02x}.{function}"
    for text in (address, address.upper(), f"pci:{address}"):
        target = parse_target(text)
        assert (target.kind, target.name) == (Kind.PCI, address)
