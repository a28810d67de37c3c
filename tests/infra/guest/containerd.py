"""containerd as a node has it, with NRI on: its configuration, its process, its one image."""

import json
import re
import subprocess
import sys
import tarfile
import time
from functools import cache
from pathlib import Path

from cri import CGROUPS, Runtime

SOCKET = Path("/run/containerd/containerd.sock")
LOG = Path("/run/containerd.log")
SLEEP = ("/bin/busybox", "sleep", "2147483647")

_CONFIGURATION = Path("/run/containerd.toml")
_IMAGE_ARCHIVE = Path("/guest/busybox.tar")
_STATE = Path("/var/lib/containerd")
_PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long

# The root of an initramfs cannot be pivoted. What a pod says of itself under our own prefix reaches
# its containers: that is what a pod needs that pretends. Emulation is slow: 20 s instead of 2 s.
_TEXT = """
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["numa-align/*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  NoPivotRoot = true
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  plugin_registration_timeout = "20s"
  plugin_request_timeout = "20s"
"""


@cache
def image_name() -> str:
    """The name of the only image."""
    with tarfile.open(_IMAGE_ARCHIVE) as archive:
        (image,) = json.load(archive.extractfile("manifest.json"))
    return str(image["RepoTags"][0])


def prepare() -> None:
    """Mount what a node has and an initramfs has not, and write the configuration."""
    run("mount", "-t", "cgroup2", "cgroup2", CGROUPS)
    _STATE.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", _STATE)
    run("modprobe", "overlay")
    _CONFIGURATION.write_text(_TEXT.format(image=image_name()))


class Containerd:
    """The process; containers outlive it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Runtime:
        """Start it, and wait until it answers."""
        with LOG.open("ab") as log:
            command = ["containerd", "--config", str(_CONFIGURATION)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        runtime = Runtime(SOCKET)
        runtime.wait_until_ready()
        return runtime

    def stop(self) -> None:
        """Stop it with SIGTERM, as its service is stopped."""
        assert self._process
        self._process.terminate()
        self._process.wait(_PATIENCE)


def import_image() -> None:
    """Give it the image."""
    run("ctr", "-n", "k8s.io", "images", "import", _IMAGE_ARCHIVE)


def wait_for_plugins(count: int) -> None:
    """Wait until it has said so many times that a plugin is connected and synchronized."""
    deadline = time.monotonic() + _PATIENCE
    while len(re.findall(r'plugin \\"[^"]*\\" connected', LOG.read_text())) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"containerd was not joined by plugin {count}")
        time.sleep(0.1)


def run(*command: str | Path) -> None:
    """Run a command; what it says goes to the console."""
    subprocess.run(command, check=True, stdout=sys.stderr)
