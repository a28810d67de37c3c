#!/usr/bin/env python3
"""Choose what goes into numa-trio.pyz of what pip has installed, and write it as it is to be there.

Usage: prepare.py INSTALLED SOURCE LICENCES. INSTALLED is what `pip install --target` has filled;
SOURCE gets the modules and their data, LICENCES a folder for each package with its licence. Fails
if there is something that cannot be in a zip and that nobody has looked at.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath

INSIDE = Path(__file__).parent / "inside"

# What is pinned, but imported by nothing that numa-trio imports: by the name of its distribution.
LEFT_OUT = {
    "greenlet": ("greenlet",),  # inside/greenlet.py says why
    "markdown_it_py": ("markdown_it",),  # rich.markdown
    "mdurl": ("mdurl",),  # markdown_it
    "pygments": ("pygments",),  # rich.syntax and rich.traceback
    "python_dateutil": ("dateutil",),  # betterproto2 says so, but has no use for it
    "tzdata": ("tzdata",),  # dateutil
}

# Compiled extensions whose packages have the same in Python, and take that where these are missing.
HAVE_THE_SAME_IN_PYTHON = {"multidict/_multidict", "multidict/_testcapi", "yaml/_yaml"}

# A distribution's files in a zip's folder are not found by importlib.metadata.
ASKS_FOR_ITS_VERSION = "betterproto2/_version.py"
QUESTION = 'from importlib import metadata\n\n__version__ = metadata.version("betterproto2")\n'

TESTS = {"tests", "_tests"}
OURS = "numa_trio"
LICENCES = ("AUTHORS", "COPYING", "LICENCE", "LICENSE", "METADATA", "NOTICE")


def main() -> None:
    """Fill both folders."""
    installed, source, licences = map(Path, sys.argv[1:])
    versions = {}
    for metadata in sorted(installed.glob("*.dist-info")):
        distribution, _, version = metadata.stem.rpartition("-")
        versions[distribution] = version
        if distribution not in LEFT_OUT:
            for name in _licences(metadata):
                _copy(metadata / name, licences / metadata.stem / name.name)
    missing = LEFT_OUT.keys() - versions.keys()
    if missing:
        sys.exit(
            f"{', '.join(sorted(missing))}: left out of the zip, but not installed: see {__file__}"
        )
    for name in _modules(installed):
        _copy(installed / name, source / name)
    # A zip's folder is a package only with this file; elsewhere a package may do without.
    for folder in {path.parent for path in source.rglob("*.py")}:
        for package in (folder, *folder.parents):
            if source in package.parents:
                (package / "__init__.py").touch()
    _copy(INSIDE / "greenlet.py", source / "greenlet.py")
    asking = source / ASKS_FOR_ITS_VERSION
    text = asking.read_text()
    if text.count(QUESTION) != 1:
        sys.exit(f"{ASKS_FOR_ITS_VERSION} has changed: expected in it, once:\n{QUESTION}")
    asking.write_text(text.replace(QUESTION, f'__version__ = "{versions["betterproto2"]}"\n'))


def _modules(installed: Path) -> Iterator[PurePath]:
    """The modules, and of our own package all that it has; relative names."""
    left_out = {module for modules in LEFT_OUT.values() for module in modules}
    unknown = set()
    for path in sorted(installed.rglob("*")):
        name = path.relative_to(installed)
        if name.parts[0] in left_out or TESTS.intersection(name.parts) or not path.is_file():
            continue
        if name.suffix == ".so":
            unknown.add(str(name).partition(".")[0])
        elif name.suffix == ".py" or name.parts[0] == OURS:
            yield name
    unknown -= HAVE_THE_SAME_IN_PYTHON
    if unknown:
        sys.exit(
            f"{', '.join(sorted(unknown))}: compiled extensions cannot be imported from a zip; see"
            f" whether the packages do without, and say so in {__file__}"
        )


def _licences(metadata: Path) -> Iterator[PurePath]:
    for path in sorted(metadata.rglob("*")):
        name = path.relative_to(metadata)
        if path.is_file() and (name.parts[0] == "licenses" or name.name.startswith(LICENCES)):
            yield name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        sys.exit(f"{source}: there is another file of that name in {target.parent}")
    shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
