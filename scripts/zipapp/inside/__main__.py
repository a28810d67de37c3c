"""Starts numa-trio from its one file.

Any Python can read these lines, if only to be told that it is of another version.
"""

import os
import sys

_EXPECTED = ((3, 11), (3, 12), (3, 13))

if sys.version_info[:2] not in _EXPECTED or sys.version.find("PyPy") >= 0:
    sys.stderr.write(
        "numa-trio: this is Python %s (%s); expected CPython 3.11, 3.12 or 3.13\n"
        % (sys.version.split()[0], sys.executable)
    )
    sys.exit(2)


def _held(archive):
    """A path to the file that this one is now, whatever takes its name later.

    Modules are read when they are first needed. An update puts another file in the place of this
    one, where they are elsewhere.
    """
    try:
        number = os.open(archive, os.O_RDONLY)
        path = "/proc/%s/fd/%d" % (os.readlink("/proc/self"), number)
        return path if os.path.samefile(path, archive) else archive
    except OSError:  # no /proc, for one
        return archive


def _is_of_others(path):
    return os.path.basename(path) in ("site-packages", "dist-packages")


_archive = _held(os.path.abspath(os.path.dirname(__file__)))
sys.path[:] = [
    # Bytecode is only for the Python that made it; for one without any there is the source.
    "%s/%s" % (_archive, sys.implementation.cache_tag),
    "%s/source" % _archive,
] + [path for path in sys.path[1:] if not _is_of_others(path)]

from numa_trio.cli import main

sys.exit(main())
