"""Whose packages apt is asked for: another suite's come from where this machine's own come from."""

import os
from pathlib import Path

import pytest

from infra import packages
from infra.packages import CannotBuild, apt_of_suite

# Answers `indextargets` from a file beside it, and writes down everything else that it is asked.
APT_GET = """\
#!/bin/sh
here=$(dirname "$0")
if [ "$1" = indextargets ]; then cat "$here/targets"; else echo "$@" >>"$here/asked"; fi
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an apt-get of a machine with Debian 12."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "apt-get").write_text(APT_GET)
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    release = {"VERSION_CODENAME": "bookworm"}
    monkeypatch.setattr(packages.platform, "freedesktop_os_release", lambda: release)
    return folder


def test_another_suite_comes_from_the_machines_own_mirror(programs: Path, tmp_path: Path) -> None:
    """Neither from where its updates come from, nor from where other vendors' packages do."""
    (programs / "targets").write_text(
        "Vendor bookworm http://vendor.test/debian/\n"
        "Debian bookworm-security http://mirror.test/security/\n"
        "Debian bookworm http://mirror.test/debian/\n"
    )
    apt = apt_of_suite("trixie", tmp_path / "apt")
    sources = tmp_path / "apt/sources.list"
    assert sources.read_text() == "deb http://mirror.test/debian/ trixie main\n"
    assert f"-oDir::Etc::SourceList={sources}" in apt.options
    asked = (programs / "asked").read_text().split()
    assert asked == [*apt.options, "--quiet", "update"]


def test_without_a_mirror_what_apt_knows_is_said(programs: Path, tmp_path: Path) -> None:
    """The error names the suite, and lists the entries that are there."""
    (programs / "targets").write_text("Vendor bookworm http://vendor.test/debian/\n")
    with pytest.raises(CannotBuild, match=r"(?s)'bookworm', only:\nVendor bookworm"):
        apt_of_suite("trixie", tmp_path / "apt")
