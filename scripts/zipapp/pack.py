#!/usr/bin/env python3
"""Pack the folders of numa-trio.pyz into that file. The same folders give the same bytes.

Usage: pack.py FOLDER FILE. Environment: SOURCE_DATE_EPOCH, the date that all files in it get.
"""

import os
import sys
import time
import zipfile
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
Date = tuple[int, int, int, int, int, int]
OLDEST = 315532800  # 1980: a zip knows no earlier date


def main() -> None:
    """Write the file."""
    folder, target = map(Path, sys.argv[1:])
    then = time.gmtime(max(OLDEST, int(os.environ["SOURCE_DATE_EPOCH"])))
    date = (then.tm_year, then.tm_mon, then.tm_mday, then.tm_hour, then.tm_min, then.tm_sec)
    # Not compressed, as reading a module then costs no more than from a folder; a package is.
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as packed:
            _write(packed, "__main__.py", INSIDE / "__main__.py", date)
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    _write(packed, str(path.relative_to(folder)), path, date)
    target.chmod(0o755)


def _write(packed: zipfile.ZipFile, name: str, path: Path, date: Date) -> None:
    entry = zipfile.ZipInfo(name, date)
    entry.external_attr = 0o100644 << 16
    packed.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main()
