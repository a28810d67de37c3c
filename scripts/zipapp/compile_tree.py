"""Compile modules for the Python that runs this: bytecode alone, for a folder of numa-trio.pyz.

Usage: PYTHONHASHSEED=0 PYTHON compile_tree.py SOURCE TARGET. Files that are no modules are copied:
code finds them beside its module. Python uses such bytecode as it is, and the same modules give the
same bytes.
"""

import py_compile
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Fill the folder."""
    source, target = map(Path, sys.argv[1:])
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if not path.is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if name.suffix != ".py":
            shutil.copyfile(path, target / name)
            continue
        py_compile.compile(
            str(path),
            str(target / name.with_suffix(".pyc")),
            dfile=f"numa-trio.pyz/{name}",  # for tracebacks
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


if __name__ == "__main__":
    main()
