#!/usr/bin/env python3
"""Print who holds the copyright of numa-trio and of what is in its one file, and the licences.

Usage: copyright.py PYZ
"""

import sys
import zipfile
from collections import defaultdict
from email.parser import HeaderParser
from pathlib import Path

OURS = "numa_trio-"
APACHE = "Apache License\n"
WHERE_APACHE_IS = (
    "The Apache License 2.0: /usr/share/common-licenses/Apache-2.0 on Debian,\n"
    "https://www.apache.org/licenses/LICENSE-2.0, and in numa-trio.pyz.\n"
)


def main() -> None:
    """Print it."""
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    with zipfile.ZipFile(sys.argv[1]) as packed:
        for path in packed.namelist():
            folder, _, rest = path.partition("/")
            if folder == "licences":
                package, _, name = rest.partition("/")
                texts[package][name] = packed.read(path).decode()
    print(Path("LICENSE").read_text())
    print("numa-trio.pyz contains, besides numa-trio:")
    for package in sorted(texts):
        if package.startswith(OURS):
            continue
        metadata = HeaderParser().parsestr(texts[package].pop("METADATA"))
        licence = metadata["License-Expression"] or metadata["License"]
        print(f"\n{'-' * 80}\n{package}: {licence}")
        for _, text in sorted(texts[package].items()):
            print()
            print(WHERE_APACHE_IS if APACHE in text[:200] else text.rstrip())


if __name__ == "__main__":
    main()
