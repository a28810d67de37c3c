"""Builds what is measured: the Go programs, and numa-trio installed as it would be in an image."""

import subprocess
import sys
from pathlib import Path

from attrs import frozen

from benchmarks.results import OURS, PEER
from benchmarks.subject import Subject

_HERE = Path(__file__).parent


@frozen
class Programs:
    """What was built."""

    ours: Subject
    peer: Subject
    kubelet: Path


def build(directory: Path, python: Path, agent: tuple[str, ...] | None) -> Programs:
    """Build into `directory`; `python` runs numa-trio unless `agent` is a command to measure.

    Raises CalledProcessError if a build fails; the builder has said why on standard error.
    """
    go = directory / "go"
    subprocess.run([_HERE / "build.sh", go], check=True, stdout=sys.stderr)
    return Programs(
        ours=Subject(OURS, agent or (str(_install(directory, python)), "run")),
        peer=Subject(PEER, (str(go / "go-peer"),)),
        kubelet=go / "go-kubelet",
    )


def _install(directory: Path, python: Path) -> Path:
    """This checkout in a virtual environment with the image's requirements; pip compiles it."""
    environment = (directory / f"venv-{python.resolve().name}").resolve()
    pip = environment / "bin/pip"
    if not pip.exists():
        subprocess.run([python, "-m", "venv", environment], check=True)
    repository = _HERE.parent
    pinned = [f"--requirement={repository}/requirements/{name}.txt" for name in ("run", "build")]
    for what in (
        ["install", "--require-hashes", *pinned],
        ["install", "--force-reinstall", "--no-build-isolation", f"{repository}"],
    ):
        subprocess.run([pip, *what, "--quiet", "--no-deps"], check=True, stdout=sys.stderr)
    subprocess.run([pip, "check"], check=True, stdout=sys.stderr)
    return environment / "bin/numa-trio"


def versions(agent: Subject) -> dict[str, str]:
    """What the two plugins are made of, as far as it can be told."""
    go = subprocess.run(["go", "version"], check=True, capture_output=True, text=True)
    grpc = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", "golang-google-grpc-dev"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = {"Go": go.stdout.split()[2], "grpc-go": grpc.stdout}
    python = Path(agent.command[0]).with_name("python")
    if python.exists():
        listing = subprocess.run(
            [python, "-c", _LIST_VERSIONS], check=True, capture_output=True, text=True
        )
        found |= dict(line.split() for line in listing.stdout.splitlines())
    return found


_LIST_VERSIONS = """
import platform
from importlib.metadata import version
print("Python", platform.python_version())
for name in "numa-trio", "trio", "trio-asyncio", "grpclib", "betterproto2":
    print(name, version(name))
"""
