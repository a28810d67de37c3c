"""Run an image as a container of the DaemonSet: read-only root, no capability, its limits.

`buildah` unpacks the image and `runc`, the runtime below containerd and Docker, runs it, so the
limits and the missing rights are the kernel's, not imitated. Both need root.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLUGIN_DIRECTORY = "/var/lib/kubelet/device-plugins"

# `buildah` inside a container or virtual machine cannot always make namespaces.
ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot", **os.environ}


def output_of(*command: str | Path, timeout: float = 600) -> str:
    """Standard output of a command; if it fails, the test fails with all that it printed."""
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=ENVIRONMENT
    )
    shown = " ".join(map(str, command))
    assert result.returncode == 0, f"{shown}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()


def image_configuration(image: str) -> dict[str, Any]:
    """What the image says of itself: Entrypoint, Env, User, Labels and the layers."""
    found: dict[str, Any] = json.loads(output_of("buildah", "inspect", "--type=image", image))
    return found["OCIv1"]


@contextmanager
def unpacked(image: str) -> Iterator[Path]:
    """The image's root file system."""
    name = output_of("buildah", "from", image)
    try:
        yield Path(output_of("buildah", "mount", name))
    finally:
        output_of("buildah", "rm", name)


class Container:
    """One running container: the image's own command, unless `arguments` are given.

    With `host_sys` its /sys is the host's, as some manifests have it. `mounts` are further ones.
    """

    def __init__(
        self,
        root: Path,
        configuration: dict[str, Any],
        bundle: Path,
        plugin_directory: Path,
        arguments: Sequence[str] = (),
        *,
        host_sys: bool = False,
        mounts: Sequence[dict[str, Any]] = (),
    ) -> None:
        config = configuration["config"]
        specification = runtime_specification(
            root=root,
            command=[*config["Entrypoint"], *arguments],
            environment=config["Env"],
            plugin_directory=plugin_directory,
            host_sys=host_sys,
        )
        specification["mounts"] += mounts
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(specification))
        self.id = f"numa-trio-test-{os.getpid()}-{bundle.name}"
        self._log = (bundle / "log").open("w+")
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            ["runc", "run", "--bundle", bundle, self.id],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as an exec probe does."""
        return subprocess.run(
            ["runc", "exec", self.id, *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(timeout)

    def terminate(self) -> None:
        """SIGTERM to its first process."""
        output_of("runc", "kill", self.id, "TERM")

    def log(self) -> str:
        """All that it wrote."""
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    def peak_memory(self) -> int:
        """Bytes that its control group has used at most, page cache included."""
        stats = json.loads(output_of("runc", "events", "--stats", self.id))
        usage: dict[str, int] = stats["data"]["memory"]["usage"]
        return usage.get("max") or usage["usage"]

    def remove(self) -> None:
        """End it, whatever its state."""
        subprocess.run(["runc", "delete", "--force", self.id], capture_output=True, check=False)
        self._process.wait(10)
        self._log.close()


_READ_ONLY = ["nosuid", "noexec", "nodev", "ro"]

# What a runtime mounts of its own accord, and what a manifest gets that mounts the host's.
OWN_SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": _READ_ONLY}
HOST_SYS = {
    "destination": "/sys",
    "type": "bind",
    "source": "/sys",
    "options": ["rbind", *_READ_ONLY],
}


def mounts_of(patch: dict[str, Any]) -> list[dict[str, Any]]:
    """What containerd would tell runc about the mounts of a DaemonSet, or of a patch of it.

    Without those of which this machine has no source.
    """
    pod = patch["spec"]["template"]["spec"]
    sources = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"]}
    return [
        {
            "destination": mount["mountPath"],
            "type": "bind",
            "source": sources[mount["name"]],
            "options": ["rbind", "rprivate", "ro" if mount.get("readOnly") else "rw"],
        }
        for mount in pod["containers"][0]["volumeMounts"]
        if Path(sources[mount["name"]]).exists()
    ]


def runtime_specification(
    root: Path,
    command: Sequence[str],
    environment: Sequence[str],
    plugin_directory: Path,
    host_sys: bool,
) -> dict[str, Any]:
    """What containerd would tell runc about the strictest known user's DaemonSet."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "args": list(command),
            "env": list(environment),
            "capabilities": {
                kind: []
                for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
            },
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]},
            HOST_SYS if host_sys else OWN_SYS,
            {
                "destination": PLUGIN_DIRECTORY,
                "type": "bind",
                "source": str(plugin_directory),
                "options": ["rbind", "rw"],
            },
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "resources": {
                "cpu": {"quota": 10_000, "period": 100_000},  # cpu: 100m
                "memory": {"limit": 64 * 1024**2},  # memory: 64Mi
            },
        },
    }
