#!/usr/bin/env python3
"""Record what each pinned package needs, as its wheel says, in requirements/metadata.json.

pip is asked for every package of requirements/*.txt, for each supported Python, on amd64 and arm64;
it takes wheels only and checks their hashes, so that what is recorded can also be installed there.
The tests prove with the record, offline, that each file is complete. With `--check`, write nothing
and fail if the record differs. Needs a package index.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "requirements/metadata.json"
# A wheel with any of these tags runs on every distribution with glibc 2.28.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")

# pip waits for the index most of the time.
_AT_ONCE = 4

Metadata = dict[str, Any]


def record() -> str:
    """The text of the record, from the package index."""
    found: dict[str, Metadata] = {}
    batches = [
        (batch, python, machine)
        for python in _supported_pythons()
        for machine in ("x86_64", "aarch64")
        for batch in _batches(python, machine)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = pool.map(lambda each: list(_resolve(*each)), batches)
        for (_batch, python, machine), result in zip(batches, results, strict=True):
            for name, metadata in result:
                if found.setdefault(name, metadata) != metadata:
                    raise SystemExit(f"{name} needs other packages on {machine} or {python}")
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _supported_pythons() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = SpecifierSet(project["requires-python"])
    return [f"3.{minor}" for minor in range(100) if f"3.{minor}.0" in supported]


def _batches(python: str, machine: str) -> Iterator[list[str]]:
    """What applies there, in lists in which no package stands twice."""
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    batches: list[dict[str, str]] = []
    for path in sorted(ROOT.glob("requirements/*.txt")):
        for line in path.read_text().replace("\\\n", " ").splitlines():
            text, *hashes = re.split(r"\s+--hash=", line.split(" #")[0])
            if not hashes:
                continue
            pin = Requirement(text)
            if pin.marker is not None and not pin.marker.evaluate(environment):
                continue
            entry = " --hash=".join([f"{pin.name}{pin.specifier}", *hashes])
            if any(batch.get(pin.name) == entry for batch in batches):
                continue
            batch = next((each for each in batches if pin.name not in each), None)
            if batch is None:
                batches.append(batch := {})
            batch[pin.name] = entry
    for batch in batches:
        yield list(batch.values())


def _resolve(batch: list[str], python: str, machine: str) -> Iterator[tuple[str, Metadata]]:
    """Name==version and metadata of each package, from the wheel that pip would install."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "requirements.txt").write_text("\n".join(batch))
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--no-deps"]
        command += ["--require-hashes", "--ignore-installed", "--only-binary", ":all:"]
        # pip compares Requires-Python with its own Python; the tests compare it with all.
        command += ["--ignore-requires-python", "--python-version", python]
        for platform in _PLATFORMS:
            command += ["--platform", f"{platform}_{machine}"]
        # pip wants a target for a foreign platform, and writes nothing there.
        command += ["--target", f"{work}/target", "--report", f"{work}/report.json"]
        subprocess.run([*command, "--requirement", f"{work}/requirements.txt"], check=True)
        report = json.loads((work / "report.json").read_text())
    for item in report["install"]:
        metadata = item["metadata"]
        yield (
            f"{canonicalize_name(metadata['name'])}=={metadata['version']}",
            {
                "requires_python": metadata.get("requires_python", ""),
                "requires_dist": sorted(metadata.get("requires_dist", [])),
            },
        )


def main() -> int:
    """Write the record, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    arguments = parser.parse_args()
    text = record()
    if not arguments.check:
        RECORD.write_text(text)
    elif not RECORD.exists() or RECORD.read_text() != text:
        print(f"{RECORD} is not what the package index says: run scripts/record_requirements.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
