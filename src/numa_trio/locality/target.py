"""What a resource may be near: disks, interfaces, cards and directories, as a person names them."""

import os
import posixpath
import re
from enum import StrEnum

from attrs import frozen

from numa_trio.plain_text import quoted

# PATH_MAX and IFNAMSIZ of the kernel, both with the NUL that ends a name.
_LONGEST_PATH = 4095
_LONGEST_INTERFACE = 15
_LONGEST_NAME = 255

_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(.*)", re.DOTALL)
_ADDRESS = re.compile(
    r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<rest>[0-9a-f]{2}:[01][0-9a-f]\.[0-7])", re.IGNORECASE
)
_ADDRESS_GLOB = re.compile(r"[0-9A-Fa-f:.*?\[\]!-]+")
_NAME = re.compile(r"[^\s/:]+")

EXPECTED = (
    "expected a block device (/dev/… or disk:nvme0n1), a network interface (net:eth2), a PCI"
    " address (0000:3b:00.0), an InfiniBand device (ib:mlx5_0), a directory (/var/lib/data) or a"
    " mount point (mount:/data)"
)
_PATH = "an absolute path without '..'"


class Kind(StrEnum):
    """The kinds of target, by their prefixes."""

    DISK = "disk"
    NET = "net"
    PCI = "pci"
    MOUNT = "mount"
    IB = "ib"


@frozen
class Target:
    """Something that a resource may be near.

    `name` is the target without its prefix, in the form in which it is looked up. Without a `kind`
    it may be a disk, an interface or an InfiniBand device, whichever exists. A mount with a prefix
    (`prefixed`) is a mount point; without, a directory on whatever is mounted there or above.
    """

    text: str
    kind: Kind | None
    name: str
    prefixed: bool = False

    @property
    def is_glob(self) -> bool:
        """Whether the name may match several things."""
        return any(character in self.name for character in "*?[")

    def __str__(self) -> str:
        return self.text


def parse_target(text: str) -> Target:
    """The target that a text names. Raises `ValueError` with what is expected."""
    if not text:
        raise ValueError(EXPECTED)
    if len(text) > _LONGEST_PATH or not _is_file_name(text):
        raise ValueError(f"{EXPECTED}; no name is so long or has such characters")
    if text.startswith("/"):
        path = _path(text)
        return Target(text, Kind.DISK if path.startswith("/dev/") else Kind.MOUNT, path)
    prefix = _PREFIX.fullmatch(text)
    if prefix is not None and prefix[1] in {*Kind}:
        kind = Kind(prefix[1])
        return Target(text, kind, _PARSERS[kind](prefix[2]), prefixed=True)
    if ":" in text:
        return Target(text, Kind.PCI, _address_without_prefix(text))
    if not _NAME.fullmatch(text) or text in (".", ".."):
        raise ValueError(f"{EXPECTED}; {quoted(text)} is no name of a device, nor {_PATH}")
    return Target(text, None, text)


def is_address(name: str) -> bool:
    """Whether it is a PCI address with its domain, as sysfs writes it."""
    match = _ADDRESS.fullmatch(name)
    return match is not None and match["domain"] is not None


def _is_file_name(text: str) -> bool:
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return not any(byte < 0x20 or byte == 0x7F for byte in name)


def _path(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"expected {_PATH}, not {quoted(text)}")
    return posixpath.normpath("/" + text.lstrip("/"))


def _address_without_prefix(text: str) -> str:
    try:
        return _address(text)
    except ValueError:
        prefixes = ", ".join(f"{kind}:" for kind in Kind)
        raise ValueError(
            f"{EXPECTED}; what has a colon is a PCI address or begins with one of {prefixes}"
        ) from None


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is not None:
        return f"{match['domain'] or '0000'}:{match['rest']}".lower()
    if any(character in text for character in "*?[") and _ADDRESS_GLOB.fullmatch(text):
        return text.lower()
    raise ValueError("expected a PCI address, as in pci:0000:3b:00.0 or pci:0000:3b:*")


def _disk(text: str) -> str:
    if text.startswith("/"):
        path = _path(text)
        if not path.startswith("/dev/"):
            raise ValueError(
                f"expected a path below /dev, as in disk:/dev/disk/by-id/…, or a kernel name, as in"
                f" disk:nvme0n1; for a directory leave out the prefix: {quoted(text)}"
            )
        return path
    if not _NAME.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise ValueError("expected the name of a block device, as in disk:nvme0n1 or disk:/dev/md0")
    return text


def _interface(text: str) -> str:
    if not _NAME.fullmatch(text) or text in (".", ".."):
        raise ValueError("expected the name of a network interface, as in net:eth2 or net:ens*f0")
    if len(text) > _LONGEST_INTERFACE and not any(character in text for character in "*?["):
        raise ValueError(
            f"expected the name of a network interface, at most {_LONGEST_INTERFACE} characters"
        )
    return text


def _infiniband(text: str) -> str:
    if not _NAME.fullmatch(text) or text in (".", ".."):
        raise ValueError("expected the name of an InfiniBand device, as in ib:mlx5_0")
    return text


_PARSERS = {
    Kind.DISK: _disk,
    Kind.NET: _interface,
    Kind.PCI: _address,
    Kind.MOUNT: _path,
    Kind.IB: _infiniband,
}
