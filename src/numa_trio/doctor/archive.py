"""A host's root as a person names it: a directory, or a capture that is unpacked first.

An archive may come from anybody: only regular files and folders with plain names are taken, and
only so many bytes.
"""

import gzip
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from numa_trio.doctor.evidence.observations import NotACapture
from numa_trio.plain_text import quoted

_MOST_BYTES = 64 << 20  # unpacked; of a server with 1,024 CPUs it has 3 MB
_MOST_ENTRIES = 50_000


@contextmanager
def open_root(path: Path) -> Iterator[Path]:
    """The directory that shows a host's `/`. Raises `NotACapture` or `OSError`."""
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="numa-trio-doctor-") as folder, path.open("rb") as file:
        try:
            _unpack(file, Path(folder))
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as problem:
            raise NotACapture(f"{path}: is not a gzipped tar archive: {problem}") from None
        except NotACapture as problem:
            raise NotACapture(f"{path}: {problem}") from None
        yield Path(folder)


class _Bounded:
    """What comes out of the compression, up to a limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = _MOST_BYTES

    def read(self, size: int) -> bytes:
        if size > self._left:
            raise NotACapture(f"has more than {_MOST_BYTES >> 20} MiB; expected less")
        content = self._file.read(size)
        self._left -= len(content)
        return content


def _unpack(file: IO[bytes], folder: Path) -> None:
    bounded = _Bounded(file)
    with tarfile.open(fileobj=bounded, mode="r|") as archive:  # type: ignore[call-overload]  # only read() is used
        for number, entry in enumerate(archive):
            if number >= _MOST_ENTRIES:
                raise NotACapture(f"has more than {_MOST_ENTRIES} entries; expected fewer")
            target = folder / _plain(entry.name)
            if entry.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif entry.isreg():
                content = archive.extractfile(entry)
                assert content is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
            else:
                raise NotACapture(f"{quoted(entry.name)} is no file or folder; expected no others")


def _plain(name: str) -> str:
    parts = name.removeprefix("./").rstrip("/").split("/")
    if any(part in ("", "..") or "\0" in part for part in parts):
        raise NotACapture(f"{quoted(name)}: expected a path below the archive's top")
    return "/".join(parts)
