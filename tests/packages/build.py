"""Builds numa-trio.pyz and the packages, as the recipes do."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def output_of(*command: str | Path, **variables: str) -> str:
    """Standard output of a command; if it fails, the test fails with all that it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def build_zipapp(target: Path, root: Path = ROOT) -> Path:
    """Build numa-trio.pyz from a checkout; about 10 seconds."""
    output_of(root / "scripts/build-zipapp", target)
    return target


def build_deb(pyz: Path, directory: Path, version: str = "", **variables: str) -> Path:
    """Build the Debian package with a numa-trio.pyz; `version` is that of the checkout if empty."""
    return _package("deb", pyz, directory, VERSION=version, **variables)


def build_rpm(pyz: Path, directory: Path, version: str = "", **variables: str) -> Path:
    """Build the RPM with a numa-trio.pyz; `version` is that of the checkout if empty."""
    return _package("rpm", pyz, directory, VERSION=version, **variables)


def _package(kind: str, pyz: Path, directory: Path, **variables: str) -> Path:
    # The best compression takes ten times as long.
    output_of(ROOT / f"scripts/build-{kind}", pyz, directory, COMPRESSION="1", **variables)
    (package,) = directory.glob(f"*.{kind}")
    return package
