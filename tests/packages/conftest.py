"""Builds numa-trio.pyz once for all its tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image.conftest import base, tools  # noqa: F401  a root file system of Debian
from image.container import unpacked
from packages.build import build_zipapp

# Notes what it was told, says that kubelet holds all streams, and enables what is to be preset.
SYSTEMCTL = """\
#!/bin/sh
case " $* " in
    *' show '*) echo 'StatusText=kubelet holds the stream of 2 of 2 resources' ;;
    *' is-enabled '*) echo enabled ;;
    *' is-active '*) cat /is-active 2>/dev/null || echo active ;;
    *' preset '*)
        for unit; do :; done
        mkdir -p /etc/systemd/system/multi-user.target.wants
        ln -sf "/usr/lib/systemd/system/$unit" /etc/systemd/system/multi-user.target.wants/ ;;
    *) echo "$*" >>/systemctl ;;
esac
"""


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is released, just built."""
    needed = ("dpkg-deb", "lintian", "rpmbuild", "rpmlint")
    missing = [name for name in needed if shutil.which(name) is None]
    assert not missing, f"not found: {missing}; apt-get install dpkg lintian rpm rpmlint"
    return build_zipapp(tmp_path_factory.mktemp("pyz") / "numa-trio.pyz")


@pytest.fixture
def server(base: str) -> Iterator[Path]:  # noqa: F811  the fixture
    """The root of a Debian with Python, where systemd seems to run and notes what it is told."""
    with unpacked(base) as root:
        (root / "run/systemd/system").mkdir(parents=True)
        systemctl = root / "usr/bin/systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        yield root


@contextmanager
def told(root: Path) -> Iterator[list[str]]:
    """What systemd is told to do meanwhile."""
    notes = root / "systemctl"
    notes.unlink(missing_ok=True)
    calls: list[str] = []
    yield calls
    if notes.exists():
        calls += notes.read_text().splitlines()
