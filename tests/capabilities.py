"""Linux capabilities, so that a test that runs as root sees what the shipped agent sees."""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_VERSION_3 = 0x20080522
_DATA = struct.Struct("6I")  # twice effective, permitted, inheritable: capset(2)
_PR_CAPBSET_DROP = 24
_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT = 1, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18
_MNT_DETACH = 2


def _call(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def no_capabilities() -> Iterator[None]:
    """This thread has none in effect: as root it may do what the files' modes allow root."""
    header = struct.pack("Ii", _VERSION_3, 0)
    before = ctypes.create_string_buffer(_DATA.size)
    _call(_LIBC.capget(header, before))
    _, permitted, inheritable, _, permitted_high, inheritable_high = _DATA.unpack(before.raw)
    none = _DATA.pack(0, permitted, inheritable, 0, permitted_high, inheritable_high)
    _call(_LIBC.capset(header, none))
    try:
        yield
    finally:
        _call(_LIBC.capset(header, before.raw))


def forsake_capabilities() -> None:
    """Between fork and exec: whatever is run has no capability, though it may be root."""
    if os.geteuid() == 0:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
        for capability in range(last + 1):
            _call(_LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))


def own_mounts() -> bool:
    """Give this thread a mount namespace of its own; False if that is not permitted."""
    try:
        _call(_LIBC.unshare(_CLONE_NEWNS))
    except OSError as problem:
        if problem.errno == errno.EPERM:
            return False
        raise
    _call(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    return True


def bind_mount(source: Path, target: Path) -> None:
    _call(_LIBC.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None))


def confine_to(directory: Path) -> None:
    """Of all that lies beside this directory, nothing can be written: in mounts of our own."""
    bind_mount(directory.parent, directory.parent)
    bind_mount(directory, directory)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY
    _call(_LIBC.mount(None, os.fsencode(directory.parent), None, flags, None))


def unmount(target: Path) -> None:
    """Take it from the path, though sockets bound in it keep it in use."""
    _call(_LIBC.umount2(os.fsencode(target), _MNT_DETACH))
