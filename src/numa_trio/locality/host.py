"""What of the host can be seen from here, and what to mount where something cannot."""

from pathlib import Path

from attrs import frozen

from numa_trio.locality.files import exists, inside, is_folder

MOUNT_TABLE = "/proc/1/mountinfo"
UDEV = "/run/udev/data"

# The kustomize components that mount parts of the host.
COMPONENTS = {
    MOUNT_TABLE: "near",
    "/dev/disk": "near",
    "/sys/class/net": "near",
    "/sys/devices": "near",
    UDEV: "near-zfs",
}


@frozen
class Host:
    """The host's sysfs, and the directory with the rest of it, as far as that is mounted.

    `root` (`NUMA_HOST_ROOT`) is where the host's `/` is seen, or a directory with parts of it:
    `proc/1/mountinfo`, `dev`, `dev/disk`, `sys/class/net` with `sys/devices`, `run/udev`.
    """

    sysfs: Path
    root: Path | None = None

    def inside(self, path: str) -> Path | None:
        """Where the host's `path` would be seen; None without a root."""
        return None if self.root is None else inside(self.root, path)

    def shows(self, folder: str) -> bool:
        """Whether a folder of the host can be seen."""
        path = self.inside(folder)
        return path is not None and is_folder(path)

    @property
    def shows_everything(self) -> bool:
        """Whether it is the host's whole `/` that can be seen: what is not there does not exist."""
        return self.shows("/usr") or self.shows("/etc")

    @property
    def network_sysfs(self) -> Path:
        """The sysfs that shows the host's network interfaces, which no other namespace's does."""
        path = self.inside("/sys")
        return path if path is not None and self.shows("/sys/class/net") else self.sysfs

    def shows_device(self, path: str) -> bool:
        """Whether a path below /dev would be seen, if it existed."""
        null = self.inside("/dev/null")
        whole = null is not None and exists(null)
        return whole or self.shows("/".join(path.split("/")[:3]))

    def how_to_see(self, path: str, what: str) -> str:
        """What to do so that `what` can be seen, which is the host's `path`."""
        if self.root is None:
            remedy = "below a directory, as in /host, and name that directory in NUMA_HOST_ROOT"
            on_host = "; on the host itself NUMA_HOST_ROOT=/ is enough"
        else:
            remedy = f"at {self.inside(path)}, for NUMA_HOST_ROOT is {self.root}"
            on_host = ""
        component = COMPONENTS.get(path)
        return (
            f"{what} cannot be seen from here: mount the host's {path} (read-only) {remedy}"
            f"{f' (the kustomize component {component} does)' if component else ''}{on_host}"
        )
