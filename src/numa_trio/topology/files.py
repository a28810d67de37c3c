"""Files of the kernel's, read without waiting and without more memory than is allowed."""

import errno
import os
import stat
from pathlib import Path

# A node or device that goes away takes its files with it, also those that are open.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})


def read_regular(path: Path, at_most: int) -> bytes:
    """The first bytes of a file, `at_most` so many. Raises `OSError`.

    Only regular files are read: neither a FIFO nor a device may keep us waiting.
    """

    def open_at_once(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK)

    with open(path, "rb", opener=open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(at_most)
