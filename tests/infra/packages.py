"""Debian packages, of this machine's suite or of another, downloaded and unpacked without root."""

import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen


class CannotBuild(Exception):
    """An image cannot be built; the message says what to install or what failed."""


def run(
    *command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """The standard output of a command; `CannotBuild` with what it said if it fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, check=True, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as failed:
        words = " ".join(str(word) for word in command)
        raise CannotBuild(
            f"`{words}` ended with status {failed.returncode}:\n{failed.stderr}"
            "If apt knows no such package, run tests/infra/install-prerequisites.sh as root:"
            " it fetches the package lists."
        ) from failed
    return done.stdout


@frozen
class Apt:
    """apt with options: without any, it knows what this machine's apt knows."""

    options: Sequence[str] = ()

    def closure(self, packages: Sequence[str]) -> list[str]:
        """`packages` and all that they depend on, as if nothing were installed."""
        plan = run(
            "apt-get",
            *self.options,
            "-oDir::State::status=/dev/null",
            "-oDebug::NoLocking=1",
            "--simulate",
            "--no-install-recommends",
            "install",
            *packages,
        )
        return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)

    def download(self, packages: Sequence[str], directory: Path) -> list[Path]:
        """The package files, in a new directory."""
        directory.mkdir()
        run("apt-get", *self.options, "--quiet", "download", *packages, cwd=directory)
        return sorted(directory.glob("*.deb"))


def apt_of_suite(suite: str, directory: Path) -> Apt:
    """apt that knows Debian's `suite` alone, from this machine's mirror, with lists in `directory`.

    Raises `CannotBuild` if this machine's apt knows no mirror of its own suite.
    """
    for folder in ("lists/partial", "cache/archives/partial"):
        (directory / folder).mkdir(parents=True)
    sources = directory / "sources.list"
    sources.write_text(f"deb {_mirror()} {suite} main\n")
    options = (
        f"-oDir::Etc::SourceList={sources}",
        "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State={directory}",
        f"-oDir::Cache={directory / 'cache'}",
        "-oAcquire::Languages=none",
        "-oDebug::NoLocking=1",
    )
    run("apt-get", *options, "--quiet", "update")
    return Apt(options)


def _mirror() -> str:
    """The address from which this machine's apt gets its own suite of Debian."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    names = "$(ORIGIN) $(CODENAME) $(REPO_URI)"
    known = run("apt-get", "indextargets", "--format", names, "Created-By: Packages")
    found = re.search(rf"^Debian {re.escape(codename)} (\S+)$", known, re.MULTILINE)
    if not (codename and found):
        raise CannotBuild(
            f"apt knows no mirror of Debian {codename!r}, only:\n{known}"
            "Expected an entry of this machine's own suite in /etc/apt/sources.list.d"
        )
    return found[1]


def unpack(package: Path, root: Path) -> None:
    """Unpack a package into `root`, through the links of a merged /usr."""
    archive = package.with_suffix(".tar")
    with archive.open("wb") as out:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=out, check=True)
    run("tar", "--extract", "--keep-directory-symlink", "-C", root, "-f", archive)
    archive.unlink()
