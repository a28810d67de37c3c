"""containerd as a node has it, with NRI on: its configuration, its process, its images."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

from cri import Runtime

SOCKET = Path("/run/containerd/containerd.sock")
NRI_SOCKET = Path("/var/run/nri/nri.sock")
LOG = Path("/run/containerd.log")

_ARCHIVE = Path("/guest/busybox.tar")
with tarfile.open(_ARCHIVE) as _tar:
    ((IMAGE,),) = (each["RepoTags"] for each in json.load(_tar.extractfile("manifest.json")))

_CONFIGURATION = Path("/run/containerd.toml")

# The root of an initramfs cannot be pivoted. What a pod says of itself under our own prefix reaches
# its containers, which is what a pod needs in order to pretend. Emulation is slow: 20 s, not 2 s.
_TEXT = f"""
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["numa-align/*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  NoPivotRoot = true
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  socket_path = "{NRI_SOCKET}"
  plugin_registration_timeout = "20s"
  plugin_request_timeout = "20s"
"""


class Containerd:
    """The process; containers outlive it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Runtime:
        """Start it, and wait until it answers."""
        _CONFIGURATION.write_text(_TEXT)
        with LOG.open("ab") as log:
            self._process = subprocess.Popen(
                ["containerd", "--config", _CONFIGURATION], stdout=log, stderr=log
            )
        runtime = Runtime(SOCKET)
        runtime.version()
        return runtime

    def stop(self) -> None:
        """Stop it with SIGTERM, as its service is stopped."""
        if self._process:
            self._process.terminate()
            self._process.wait()


def import_image() -> None:
    """Give it the one image that there is."""
    subprocess.run(["ctr", "-n", "k8s.io", "images", "import", _ARCHIVE], check=True, stdout=sys.stderr)
